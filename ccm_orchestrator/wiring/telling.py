"""What people are told of this daemon's life: its targets, its starts, its incidents."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
from collections.abc import Sequence
from datetime import datetime, timedelta

from ccm_orchestrator.adapters.apprise.carrier import AppriseCarrier
from ccm_orchestrator.adapters.clock import SystemClock
from ccm_orchestrator.domain.incidents import IncidentKind, Trouble
from ccm_orchestrator.engine.bus import Bus
from ccm_orchestrator.engine.heartbeats import Hearts
from ccm_orchestrator.engine.herald import Herald, HeraldRules, keep_telling
from ccm_orchestrator.engine.incident_book import IncidentBook
from ccm_orchestrator.engine.incident_watch import IncidentWatch, Probe
from ccm_orchestrator.engine.spending import Spending
from ccm_orchestrator.errors import OrchestratorError, StoreError
from ccm_orchestrator.settings import Settings
from ccm_orchestrator.wiring.building import Stores
from ccm_orchestrator.wiring.failed_start import LAST_TARGETS, keep_targets
from ccm_orchestrator.wiring.starts import Past, Starts
from ccm_orchestrator.wiring.targets import build_budget, read_targets

log = logging.getLogger(__name__)

CRASH_LOOP_AFTER = 5
STEADY_S = 600.0
"""A daemon that has been up for so long is out of its loop; a death after that is the first again."""


class Telling:
    def __init__(self, settings: Settings, stores: Stores, bus: Bus, clock: SystemClock, starts: Starts) -> None:
        self._here = settings.system_id
        self._database = str(settings.database)
        self._starts = starts
        self._stores = stores
        self._bus = bus
        self._clock = clock
        table = settings.notifications
        rules = HeraldRules(
            table.public_url,
            timedelta(seconds=table.waiting_s),
            timedelta(seconds=table.window_s),
            table.messages_per_hour,
        )
        carrier = AppriseCarrier(table.timeout_s)
        self._targets = read_targets(table)
        self._kept_targets = settings.state_directory / LAST_TARGETS
        self._table = table
        self._herald = Herald(self._targets.usable, stores.notices, carrier, bus, clock, self._project_of, rules)
        self.spending = Spending(build_budget(settings.budget), stores.figures, clock, self._here)
        self._book = IncidentBook(stores.incidents, bus, clock, self._herald.tell_at_once)

    async def begin(self, past: Past) -> None:
        """Opens what an earlier daemon's death means. A full disk is no reason not to start."""
        for name, problem in self._targets.left_out.items():
            log.error("notification target %s is left out: %s", name, problem)
        keep_targets(self._kept_targets, self._table)
        await self.spending.look()
        with contextlib.suppress(StoreError):
            await self._herald.begin()
        if past.deaths:
            detail = past.why or "The daemon ended without saying goodbye, and was started again."
            await self._book.open(Trouble(IncidentKind.DAEMON_CRASHED, self._here, "start", detail))
        if past.deaths >= CRASH_LOOP_AFTER:
            why = f" Its last words: {past.why}" if past.why else ""
            detail = f"The daemon died {past.deaths} times in a row; look at its log.{why}"
            await self._book.open(Trouble(IncidentKind.CRASH_LOOP, self._here, "start", detail))
        if past.gave_up:
            detail = f"The daemon ended itself, for nothing within it helped: {past.gave_up}"
            await self._book.open(Trouble(IncidentKind.RECOVERY_FAILED, self._here, "watchdog", detail))

    async def ready(self) -> None:
        for kind in (IncidentKind.DAEMON_CRASHED, IncidentKind.RECOVERY_FAILED):
            await self._book.close(kind, self._here, "a new daemon, which adopted the agents")

    async def damaged(self, sentence: str) -> None:
        """The database was, and another took its place."""
        await self._book.open(Trouble(IncidentKind.DATABASE_DAMAGED, self._database, "start", sentence))
        await self._book.close(IncidentKind.DATABASE_DAMAGED, self._database, "the database in its place")

    async def orchestrator_hung(self, sentence: str) -> None:
        await self._book.open(Trouble(IncidentKind.DAEMON_HUNG, self._here, "watchdog", sentence))

    async def orchestrator_ready(self) -> None:
        await self._book.close(IncidentKind.DAEMON_HUNG, self._here, "a fresh orchestrator")

    async def run(self, probes: Sequence[Probe], hearts: Hearts) -> None:
        """Cancel it to end it."""
        own = Probe({IncidentKind.TARGET_UNUSABLE: "a target that can be used"}, self._bad_targets, math.inf)
        day = Probe({IncidentKind.BUDGET_SPENT: "a new day, or a larger budget"}, self.spending.look, math.inf)
        watch = IncidentWatch(self._book, self._stores.incidents, self._bus, self._clock, [own, day, *probes])
        async with asyncio.TaskGroup() as group:
            group.create_task(keep_telling(self._herald, hearts.add("notifications")))
            group.create_task(watch.run(hearts.add("incidents"), hearts.add("incidents of agents")))
            group.create_task(self._steady())

    async def _bad_targets(self) -> Sequence[Trouble]:
        return [
            Trouble(IncidentKind.TARGET_UNUSABLE, f"target {name}", "start", problem)
            for name, problem in self._targets.left_out.items()
        ]

    async def prune(self, before: datetime) -> None:
        """Raises: StoreError."""
        await self._stores.incidents.prune(before)
        await self._stores.notices.prune(before)

    async def _steady(self) -> None:
        await asyncio.sleep(STEADY_S)
        self._starts.steady()
        await self._book.close(IncidentKind.CRASH_LOOP, self._here, f"a daemon that has run for {STEADY_S:g} s")

    async def _project_of(self, task_id: str) -> str | None:
        with contextlib.suppress(OrchestratorError):
            return (await self._stores.tasks.get(task_id)).project
        return None
