"""One run: start → observe → finish."""

from __future__ import annotations

import asyncio
import logging
from datetime import timedelta

from ccm_orchestrator.engine.ending import Ending
from ccm_orchestrator.engine.intake import Intake
from ccm_orchestrator.engine.leases import Leases
from ccm_orchestrator.engine.lingering import linger_s, waited_s
from ccm_orchestrator.engine.live import LiveRun
from ccm_orchestrator.engine.observe import Observer
from ccm_orchestrator.engine.settle import events_of, patiently, settle
from ccm_orchestrator.engine.spawn import CannotSpawn, launch
from ccm_orchestrator.errors import StoreUnavailable
from ccm_orchestrator.ports.tasks import LeaseAnswer

log = logging.getLogger(__name__)

STORE_RETRY_S = 1.0
REPLAY = timedelta(seconds=5)


async def carry_out(live: LiveRun, intake: Intake, leases: Leases) -> None:
    """A run that was just intended, to its end. Raises: StaleTerm."""
    if await leases.ensure(live.run.key) is LeaseAnswer.FENCED:
        await settle(live, Ending.abandoned(), intake, leases)
        return
    if await live.condemned():  # while it waited for its lease
        await settle(live, Ending.cancelled(), intake, leases)
        return
    try:
        await launch(live)
    except CannotSpawn as refusal:
        await settle(live, refusal.ending, intake, leases)
        return
    await follow(live, intake, leases)


async def follow(live: LiveRun, intake: Intake, leases: Leases) -> None:
    """A run whose agent was started, by us or by an earlier daemon, to its end. Raises: StaleTerm."""
    ending = await _observe(Observer(live, intake))
    await settle(live, ending, intake, leases)


async def take_over(live: LiveRun, intake: Intake, leases: Leases) -> None:
    """A run that somebody followed before: what they may not have taken in is read first. Raises: StaleTerm."""
    await patiently(lambda: intake.drain(live.run.run_id))
    await patiently(lambda: _replay(live))
    stays_since = live.run.started_at if linger_s(live) > 0 else None
    live.waited_s = waited_s(await patiently(lambda: events_of(live)), stays_since)
    await follow(live, intake, leases)


async def _replay(live: LiveRun) -> None:
    """Stored hook events around and after the evidence that the saved view rests on."""
    known = live.tracker.view.evidence
    since = known.at - REPLAY if known else None
    records = await live.parts.bus.log.hook_records(live.run.run_id)
    recent = [record for record in records if since is None or record.at >= since]
    live.inbox[:0] = await asyncio.to_thread(
        lambda: [live.driver.read_hook(record, live.run.task_id) for record in recent]
    )


async def _observe(observer: Observer) -> Ending:
    """A full disk does not end a run: it is followed on as soon as the journal takes notes again."""
    while True:
        try:
            return await observer.observe()
        except StoreUnavailable as error:
            log.warning("following goes on when the journal is back: %s", error.message)
            await asyncio.sleep(STORE_RETRY_S)
