"""What is told of a permission request: the event, and the entry of the audit log when no call settled it."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from ccm_orchestrator.domain.asking import subject
from ccm_orchestrator.domain.dialogue import PermissionRequest, PermissionStatus
from ccm_orchestrator.domain.events import BusEvent, EventKind
from ccm_orchestrator.engine.bus import Bus
from ccm_orchestrator.engine.permission_record import settled_entry
from ccm_orchestrator.ports.beside import Beside
from ccm_orchestrator.ports.journal import Journal
from ccm_orchestrator.ports.world import Clock


def permission_event(request: PermissionRequest, at: datetime) -> BusEvent:
    is_open = request.status is PermissionStatus.OPEN
    data: dict[str, object] = {
        "request_id": request.request_id,
        "status": request.status.value,
        "dialog": request.dialog,
        "tool_name": request.tool_name,
        "subject": subject(request.tool_input),
        "agent": request.context.agent,
        "project": request.context.project,
        "expires_at": request.expires_at.isoformat() if request.expires_at else None,
    }
    if (verdict := request.verdict) is not None:
        data |= {
            "decision": verdict.decision.value,
            "decided_by": verdict.decided_by,
            "reason": verdict.reason,
            "scope": verdict.scope.value,
            "rule_ids": list(verdict.rule_ids),
        }
    kind = EventKind.PERMISSION_REQUESTED if is_open else EventKind.PERMISSION_DECIDED
    return BusEvent(kind, at, request.task_id, request.run_id, data)


def told(request: PermissionRequest, at: datetime) -> Beside:
    event = permission_event(request, at)
    return Beside((event,), settled_entry(event))


async def overrule(journal: Journal, bus: Bus, clock: Clock, decided: PermissionRequest) -> None:
    """The terminal's answer was first, which came to light after `decided`: all are told again."""
    verdict, now = decided.verdict, clock.now()
    if verdict is None:
        return

    def telling(overruled: PermissionRequest) -> Beside:
        event = permission_event(overruled, now)
        data = {**event.data, "overruled": verdict.decision.value, "overruled_by": verdict.decided_by}
        event = replace(event, data=data)
        return Beside((event,), settled_entry(event))

    if await journal.overrule_permission(decided.request_id, telling):
        bus.wake({EventKind.PERMISSION_DECIDED})


async def close_request(
    journal: Journal, bus: Bus, clock: Clock, request: PermissionRequest, status: PermissionStatus
) -> None:
    """Nothing, and no event, when somebody was faster."""
    now = clock.now()
    if await journal.close_permission(request.request_id, status, lambda closed: told(closed, now)):
        bus.wake({EventKind.PERMISSION_DECIDED})
