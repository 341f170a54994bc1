"""The audit log's entries of requests that no call answered: a rule did, time ran out, a person did in the window."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from ccm_orchestrator.domain.audit import AuditEntry, entry_of
from ccm_orchestrator.domain.caller import Caller, CallerKind
from ccm_orchestrator.domain.dialogue import PermissionStatus
from ccm_orchestrator.domain.events import BusEvent, EventKind

ACTION = "permission settled"
REOPENED = "permission reopened"
RULE = "rule:"
TERMINAL = "terminal"
EXPIRY = "expiry"
RUN_END = "end of run"
_TOLD = (
    "status",
    "decision",
    "reason",
    "rule_ids",
    "tool_name",
    "subject",
    "agent",
    "expires_at",
    "overruled",
    "overruled_by",
)
_OK = 200


def settled_entry(event: BusEvent) -> AuditEntry | None:
    """None: a call settled it, which is in the log already."""
    if event.kind is not EventKind.PERMISSION_DECIDED or (who := _who(event.data, event.at)) is None:
        return None
    target = f"/api/permissions/{event.data['request_id']}"
    entry = entry_of(Caller(CallerKind.DAEMON, who), event.at, ACTION, target, _OK)
    told = {name: event.data[name] for name in _TOLD if event.data.get(name)}
    before = PermissionStatus.DECIDED if "overruled" in event.data else PermissionStatus.OPEN
    return replace(entry, before={"status": before.value}, after=told)


def reopened_entry(settled: AuditEntry, at: datetime, why: str) -> AuditEntry:
    """The answer of the `settled` one could not be given: the request is open again."""
    before, after = {"status": PermissionStatus.DECIDED.value}, {"status": PermissionStatus.OPEN.value, "reason": why}
    return replace(settled, at=at, action=REOPENED, before=before, after=after)


def _who(data: Mapping[str, object], at: datetime) -> str | None:
    if data["status"] == PermissionStatus.ANSWERED_ELSEWHERE:
        return TERMINAL
    if data["status"] == PermissionStatus.EXPIRED:
        due = data.get("expires_at")
        return EXPIRY if isinstance(due, str) and datetime.fromisoformat(due) <= at else RUN_END
    decided_by = str(data.get("decided_by", ""))
    return decided_by if decided_by.startswith(RULE) else None
