"""One hook record with its payload, and what is told in its terms."""

from __future__ import annotations

from dataclasses import dataclass, field

from ccm_orchestrator.adapters.claude.payload import Json, excerpt, text
from ccm_orchestrator.domain.agent import Evidence, Signal, Source
from ccm_orchestrator.domain.events import BusEvent, EventKind, HookRecord


@dataclass(frozen=True, slots=True)
class Hook:
    record: HookRecord
    task_id: str
    payload: Json = field(repr=False)

    @property
    def subagent(self) -> bool:
        """Compaction runs in an agent of its own, too."""
        return bool(text(self.payload, "agent_id"))

    def evidence(self, signal: Signal, detail: str = "", **data: object) -> Evidence:
        return Evidence(Source.HOOK, signal, self.record.at, detail, data, self.subagent)

    def event(self, kind: EventKind, **data: object) -> BusEvent:
        """Values are shortened to what is fit to publish; those that are None are left out."""
        told = {"agent_id": text(self.payload, "agent_id") or None, **data}
        shown = {key: excerpt(value) for key, value in told.items() if value is not None}
        return BusEvent(kind, self.record.at, self.task_id, self.record.run_id, shown)

    def other(self, *fields: str) -> BusEvent:
        """An event outside the catalogue, with some fields of its payload."""
        told = {name: self.payload.get(name) for name in fields}
        return self.event(EventKind.HOOK, hook_event_name=self.record.hook_event_name, **told)
