"""One run: start → observe → finish."""

from __future__ import annotations

import asyncio
import logging

from ccm_orchestrator.engine.ending import Ending
from ccm_orchestrator.engine.intake import Intake
from ccm_orchestrator.engine.leases import Leases
from ccm_orchestrator.engine.live import LiveRun
from ccm_orchestrator.engine.observe import Observer
from ccm_orchestrator.engine.settle import patiently, settle
from ccm_orchestrator.engine.spawn import CannotSpawn, launch
from ccm_orchestrator.errors import StoreUnavailable

log = logging.getLogger(__name__)

STORE_RETRY_S = 1.0


async def carry_out(live: LiveRun, intake: Intake, leases: Leases) -> None:
    """A run that was just intended, to its end. Raises: StaleTerm."""
    try:
        await launch(live)
    except CannotSpawn as refusal:
        await settle(live, refusal.ending, intake, leases)
        return
    await follow(live, intake, leases)


async def follow(live: LiveRun, intake: Intake, leases: Leases) -> None:
    """A run whose agent was started, by us or by an earlier daemon, to its end. Raises: StaleTerm."""
    observer = Observer(live, intake)
    ending = await _observe(observer)
    await settle(live, ending, intake, leases)
    await patiently(observer.close)


async def _observe(observer: Observer) -> Ending:
    """A full disk does not end a run: it is followed on as soon as the journal takes notes again."""
    while True:
        try:
            return await observer.observe()
        except StoreUnavailable as error:
            log.warning("following goes on when the journal is back: %s", error.message)
            await asyncio.sleep(STORE_RETRY_S)
