"""When a run is over: messages that were never delivered, and requests that nobody can answer any more."""

from __future__ import annotations

from ccm_orchestrator.domain.dialogue import RUN_ENDED, MessageStatus, PermissionStatus
from ccm_orchestrator.domain.run import Run
from ccm_orchestrator.engine.live import LiveRun
from ccm_orchestrator.engine.messenger import Messenger
from ccm_orchestrator.engine.parts import Parts
from ccm_orchestrator.engine.permission_news import close_request


async def close_typed(live: LiveRun) -> None:
    """Once its agent has ended."""
    await Messenger(live).close_typed()


async def close_dialogue(live: LiveRun) -> None:
    await Messenger(live).close()
    await _expire_permissions(live.parts, live.run)


async def close_unfollowed(parts: Parts, run: Run) -> None:
    """Of a run whose task or driver is gone: nobody can tell what its agent took."""
    for message in await parts.journal.messages(run.run_id):
        if message.status in (MessageStatus.QUEUED, MessageStatus.DELIVERED):
            await parts.journal.set_message(message.message_id, MessageStatus.UNDELIVERED, RUN_ENDED)
    await _expire_permissions(parts, run)


async def _expire_permissions(parts: Parts, run: Run) -> None:
    for request in await parts.journal.permissions(run.run_id):
        await close_request(parts.journal, parts.bus, parts.clock, request, PermissionStatus.EXPIRED)
