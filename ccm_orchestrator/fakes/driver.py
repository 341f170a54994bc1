"""A driver without an agent: tests write its hooks, screens and observations in plain words.

A hook's payload is a JSON object whose fields are those of `Evidence` (`signal`, `detail`, `data`, `subagent`), beside
`kind` (an `EventKind` to publish), `session_id`, `transcript_path` and `prompt`; all are optional. A screen's last line
may be `SIGNAL DETAIL`, as in `blocked permission`. Everything else is an attribute to be set.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path

from ccm_orchestrator.domain.agent import Dialog, Evidence, Signal, Source
from ccm_orchestrator.domain.asking import screen_shows
from ccm_orchestrator.domain.dialogue import Decision, PermissionRequest, Verdict
from ccm_orchestrator.domain.events import BusEvent, EventKind, HookRecord
from ccm_orchestrator.domain.result import Usage
from ccm_orchestrator.domain.run import Run
from ccm_orchestrator.domain.trust import Risk
from ccm_orchestrator.errors import DriverError, InputError
from ccm_orchestrator.ports.agents import (
    AskedPermission,
    DriverHealth,
    LaunchOrder,
    Reading,
    Report,
    SessionTrace,
)
from ccm_orchestrator.ports.launching import Launch
from ccm_orchestrator.ports.terminal import Key


class FakeDriver:
    name = "claude"
    has_sessions = True

    def __init__(self, exit_means_done: bool = False) -> None:
        self.exit_means_done = exit_means_done
        self.health = DriverHealth(True, Path("/usr/bin/fake-agent"), "1.0.0", "")
        self.refusal: DriverError | InputError | None = None
        """Raised by every `prepare`."""
        self.orders: list[LaunchOrder] = []
        self.observations: dict[str, list[Evidence]] = {}
        """By run id: what `observe` tells, again and again."""
        self.sayings: dict[str, list[str]] = {}
        """By run id: all texts of its agent so far."""
        self.usage = Usage()
        self.conversations: set[str] = set()
        """Ids of the sessions that an agent was started with: what it has kept."""
        self.registry: Path | None = None
        self.risky: dict[Path, tuple[Risk, ...]] = {}
        """By directory: what its files would do."""

    async def probe(self) -> DriverHealth:
        return self.health

    async def prepare(self, order: LaunchOrder) -> Launch:
        if self.refusal is not None:
            raise self.refusal
        self.orders.append(order)
        self.conversations |= {order.run.session_id} if order.run.session_id else set()
        return Launch(
            argv=["fake-agent", order.run.run_id],
            env={"CCM_RUN_ID": order.run.run_id},
            cwd=order.run.cwd,
            files={"prompt.txt": order.prompt.encode()},
            stdin_file="prompt.txt",
        )

    async def risks(self, directory: Path) -> Sequence[Risk]:
        return self.risky.get(directory, ())

    async def resumable(self, run: Run) -> bool:
        return run.session_id in self.conversations

    async def has_conversation(self, session_id: str) -> bool:
        return session_id in self.conversations

    def checked_flags(self, flags: Sequence[str], tools: Sequence[str] | None) -> tuple[str, ...]:
        if refused := [flag for flag in flags if not flag.startswith("--fake")]:
            raise InputError(f"The flag {refused[0]!r} is not allowed.")
        return (*flags, *(f"--only={tool}" for tool in tools or ()))

    def registry_directory(self) -> Path | None:
        return self.registry

    def read_hook(self, record: HookRecord, task_id: str) -> Reading:
        try:
            payload = json.loads(record.raw)
        except ValueError:
            malformed = BusEvent(EventKind.HOOK_MALFORMED, record.at, task_id, record.run_id)
            return Reading((), (malformed,))
        events = []
        if "kind" in payload:
            data = payload.get("data", {})
            events.append(BusEvent(EventKind(payload["kind"]), record.at, task_id, record.run_id, data))
        return Reading(
            evidence=[_evidence(Source.HOOK, record.at, payload)] if "signal" in payload else [],
            events=events,
            session_id=payload.get("session_id"),
            transcript_path=payload.get("transcript_path"),
            prompt=payload.get("prompt"),
        )

    async def observe(self, trace: SessionTrace) -> Sequence[Evidence]:
        return list(self.observations.get(trace.run.run_id, ()))

    async def said(self, trace: SessionTrace, place: int | None) -> tuple[Sequence[str], int]:
        texts = self.sayings.get(trace.run.run_id, [])
        return ([], len(texts)) if place is None else (texts[place:], len(texts))

    def read_screen(self, screen: str, at: datetime, run_id: str) -> Evidence | None:
        signal, _, detail = screen.rstrip().rpartition("\n")[2].partition(" ")
        return Evidence(Source.SCREEN, Signal(signal), at, detail) if signal in list(Signal) else None

    def message_keys(self, text: str, screen: str) -> Sequence[str | Key]:
        return [text, Key.ENTER]

    def awaits_enter(self, text: str, screen: str) -> bool | None:
        """A screen whose last line is `typed TEXT` shows that text at the prompt."""
        shown = screen.rstrip().rpartition("\n")[2]
        return shown.removeprefix("typed ") == text if shown.startswith("typed ") else None

    def permission_answer(self, request: PermissionRequest, verdict: Verdict) -> Mapping[str, object]:
        answer: dict[str, object] = {"decision": verdict.decision.value, "reason": verdict.reason}
        return answer if verdict.updated_input is None else {**answer, "input": dict(verdict.updated_input)}

    def dialog_key(self, request: PermissionRequest, verdict: Verdict, screen: str) -> str | Key | None:
        if not screen_shows(screen, request.tool_input):
            return None
        if verdict.decision is Decision.DENY:
            return Key.ESCAPE
        return Key.YES if verdict.updated_input is None else None

    def read_permission(self, payload: Mapping[str, object]) -> AskedPermission:
        tool, given = payload.get("tool_name"), payload.get("tool_input", {})
        if not isinstance(tool, str) or not isinstance(given, dict):
            raise ValueError("expected `tool_name` to name a tool and `tool_input` to be an object")
        return AskedPermission(Dialog(str(payload.get("dialog", Dialog.PERMISSION.value))), tool, given)

    async def report(self, trace: SessionTrace, readings: Sequence[Reading]) -> Report:
        ends = [e.detail for reading in readings for e in reading.evidence if e.signal is Signal.TURN_ENDED]
        return Report(ends[-1] if ends else "", self.usage, trace.session_id, trace.transcript_path)


def _evidence(source: Source, at: datetime, payload: Mapping[str, object]) -> Evidence:
    data = payload.get("data", {})
    return Evidence(
        source,
        Signal(str(payload["signal"])),
        at,
        str(payload.get("detail", "")),
        data if isinstance(data, dict) else {},
        payload.get("subagent") is True,
    )
