"""What the daemon does now and then, for as long as it lives."""

from __future__ import annotations

import asyncio
import logging
from datetime import timedelta

from ccm_orchestrator.adapters.clock import SystemClock
from ccm_orchestrator.adapters.left_copies import sweep
from ccm_orchestrator.engine.control import Control
from ccm_orchestrator.engine.heartbeats import Heart
from ccm_orchestrator.engine.tending import Tending
from ccm_orchestrator.errors import OrchestratorError, StoreError
from ccm_orchestrator.settings import Settings
from ccm_orchestrator.wiring.building import Stores
from ccm_orchestrator.wiring.telling import Telling

log = logging.getLogger(__name__)

UPKEEP_S = 60.0
TEND_AGAIN_S = 5.0
LONGEST_PRUNING_S = 600.0
LONGEST_BACKUP_S = 3600.0


async def keep_up(
    heart: Heart, settings: Settings, stores: Stores, control: Control, telling: Telling, clock: SystemClock
) -> None:
    """Backups (the first one soon after the start), retention, requests that nobody answered, and what killed processes
    had unpacked."""
    backup_due_at_s = clock.uptime_s()
    while True:
        await heart.turn()
        await heart.rest(UPKEEP_S)
        await heart.during(asyncio.to_thread(sweep), LONGEST_PRUNING_S)
        try:
            await control.expire_permissions()
            cutoff = clock.now() - timedelta(days=settings.event_retention_days)
            await heart.during(stores.events.prune(cutoff), LONGEST_PRUNING_S)
            await heart.during(telling.prune(cutoff), LONGEST_PRUNING_S)
            if settings.backups.keep and clock.uptime_s() >= backup_due_at_s:
                backup_due_at_s = clock.uptime_s() + settings.backups.interval_hours * 3600
                await heart.during(stores.database.backup(), LONGEST_BACKUP_S)
        except OrchestratorError as error:
            log.warning("upkeep: %s", error.message)


async def keep_tending(heart: Heart, tending: Tending) -> None:
    """Of standing agents: a full disk only makes a pause."""
    while True:
        await heart.turn()
        try:
            await tending.run(heart)
        except StoreError as error:
            log.warning("standing agents are tended later: %s", error.message)
        await heart.rest(TEND_AGAIN_S)


def tell_of_end(duty: asyncio.Task[None]) -> None:
    """A duty never ends by itself. Its heart is still now, and the watchdog will say so; the log says why."""
    if not duty.cancelled() and (error := duty.exception()) is not None:
        log.error("the duty %s ended by an error", duty.get_name(), exc_info=error)
