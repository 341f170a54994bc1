"""When a run is over: messages that were never delivered, and requests that nobody can answer any more."""

from __future__ import annotations

from ccm_orchestrator.domain.dialogue import PermissionStatus
from ccm_orchestrator.domain.events import EventKind
from ccm_orchestrator.engine.live import LiveRun
from ccm_orchestrator.engine.messenger import Messenger


async def close_dialogue(live: LiveRun) -> None:
    await Messenger(live).close()
    journal = live.parts.journal
    for request in await journal.permissions(live.run.run_id):
        await journal.close_permission(request.request_id, PermissionStatus.EXPIRED)
        await live.publish(EventKind.PERMISSION_DECIDED, request_id=request.request_id, status=PermissionStatus.EXPIRED)
