"""The audit log's entries of requests that no call answered: a rule did, time ran out, a person did in the window."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from ccm_orchestrator.domain.audit import AuditEntry, entry_of
from ccm_orchestrator.domain.caller import Caller, CallerKind
from ccm_orchestrator.domain.dialogue import PermissionStatus
from ccm_orchestrator.domain.events import BusEvent, EventKind
from ccm_orchestrator.errors import StoreError
from ccm_orchestrator.ports.audit import AuditLog

log = logging.getLogger(__name__)

ACTION = "permission settled"
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


def _who(data: Mapping[str, object], at: datetime) -> str | None:
    if data["status"] == PermissionStatus.ANSWERED_ELSEWHERE:
        return TERMINAL
    if data["status"] == PermissionStatus.EXPIRED:
        due = data.get("expires_at")
        return EXPIRY if isinstance(due, str) and datetime.fromisoformat(due) <= at else RUN_END
    decided_by = str(data.get("decided_by", ""))
    return decided_by if decided_by.startswith(RULE) else None


class PermissionRecord:
    """Writes them. A log that cannot be written stops no answer; the daemon's own log has it then."""

    def __init__(self, audit: AuditLog) -> None:
        self._audit = audit

    async def note(self, event: BusEvent) -> None:
        entry = settled_entry(event)
        if entry is None:
            return
        try:
            await self._audit.record(entry)
        except StoreError as error:
            log.error("the audit log cannot be written (%s): %s %s", error.message, entry.caller, entry.target)
