"""The loop: capacity, claim, start."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
from collections.abc import Callable
from dataclasses import replace

from ccm_orchestrator.domain.events import BusEvent, EventKind
from ccm_orchestrator.domain.supervision import after_failure
from ccm_orchestrator.domain.task import Task, TaskStatus
from ccm_orchestrator.engine.failpoints import CLAIM_ANSWERED, CLAIM_REMEMBERED
from ccm_orchestrator.engine.intake import Intake
from ccm_orchestrator.engine.leases import Leases
from ccm_orchestrator.engine.parts import Parts
from ccm_orchestrator.engine.roster import Roster
from ccm_orchestrator.engine.run import carry_out, take_over
from ccm_orchestrator.engine.spawn import CannotSpawn, intend
from ccm_orchestrator.errors import Fenced, StoreUnavailable
from ccm_orchestrator.ports.journal import RunQuery
from ccm_orchestrator.ports.tasks import ClaimRequest, Release, ReleaseKind

log = logging.getLogger(__name__)

RETRY_S = 2.0


class Dispatcher:
    """Claims what this system has room for and starts it. Every claim is remembered before it is made."""

    def __init__(
        self,
        parts: Parts,
        term: int,
        roster: Roster,
        intake: Intake,
        leases: Leases,
        check_term: Callable[[], None] = lambda: None,
    ) -> None:
        self._parts = parts
        self._term = term
        self._roster = roster
        self._intake = intake
        self._leases = leases
        self._check_term = check_term
        self._room = asyncio.Event()
        self.ticks = 0
        """Rises with every turn of the loop: the proof of progress."""

    def vacated(self) -> None:
        """A run ended: there is room."""
        self._room.set()

    async def recover_claims(self) -> None:
        """Claims of an earlier daemon that were never answered are repeated: the same rows come back, for this boot."""
        for request in await self._parts.journal.open_claims():
            await self._claim(replace(request, boot_id=self._parts.boot_id))

    async def run(self) -> None:
        while True:
            self.ticks += 1
            try:
                started = await self._fill()
            except StoreUnavailable as error:
                log.warning("claiming pauses: %s", error.message)
                await asyncio.sleep(RETRY_S)
                continue
            if not started:
                await self._wait()

    async def _fill(self) -> bool:
        self._check_term()
        room = self._parts.limits.max_agents - len(self._roster)
        if room <= 0:
            return False
        for request in await self._parts.journal.open_claims():
            return bool(await self._claim(replace(request, boot_id=self._parts.boot_id)))
        if not (await self._parts.store.counts()).get(TaskStatus.QUEUED):
            return False
        limits = self._parts.limits
        request = ClaimRequest(secrets.token_hex(16), self._parts.system_id, self._parts.boot_id, room, limits.lease_s)
        await self._parts.journal.remember_claim(request)
        self._parts.reach(CLAIM_REMEMBERED)
        return bool(await self._claim(request))

    async def _claim(self, request: ClaimRequest) -> int:
        asked_at_s = self._parts.clock.uptime_s()
        tasks = await self._parts.store.claim(request)
        self._parts.reach(CLAIM_ANSWERED)
        for task in tasks:
            self._leases.grant(task.key, asked_at_s)
            await self._start(task)
        await self._parts.journal.settle_claim(request.request_id)
        return len(tasks)

    async def _start(self, task: Task) -> None:
        """A claim whose answer came twice is started once: the journal knows its fence."""
        runs = await self._parts.journal.runs(RunQuery(task_id=task.task_id, limit=5))
        if any(run.fence == task.fence for run in runs):
            return
        await self._end_older_run(task)
        try:
            live = await intend(self._parts, self._term, task)
        except CannotSpawn as refusal:
            await self._refuse(task, refusal)
            return
        self._roster.add(
            live,
            lambda: carry_out(live, self._intake, self._leases),
            lambda: take_over(live, self._intake, self._leases),
        )
        await self._publish(EventKind.TASK_CLAIMED, task, agent=live.run.name, attempt=task.attempt)

    async def _end_older_run(self, task: Task) -> None:
        """A claim that we lost and won again: the agent of the lost one ends before the new one starts."""
        while (older := self._roster.of_task(task.task_id)) is not None:
            older.fence()
            await older.over.wait()

    async def _refuse(self, task: Task, refusal: CannotSpawn) -> None:
        """What cannot even be intended here is held, with the reason."""
        failure = refusal.ending.failure
        if failure is None:
            raise refusal
        after = after_failure(task, failure, self._parts.retry, self._parts.clock.now(), self._parts.chance())
        release = Release(ReleaseKind.VOLUNTARY, failure.message, after.run_after, after.hold)
        try:
            await self._parts.store.release(task.key, release)
        except Fenced:
            return
        log.warning("task %s is held: %s", task.task_id, failure.message)
        await self._publish(EventKind.TASK_HELD, task, reason=failure.message)

    async def _publish(self, kind: EventKind, task: Task, **data: object) -> None:
        await self._parts.bus.publish(BusEvent(kind, self._parts.clock.now(), task.task_id, None, data))

    async def _wait(self) -> None:
        """Until there may be something to claim and room for it, or the poll interval is over."""
        poll_s = self._parts.limits.poll_interval_s
        if len(self._roster) >= self._parts.limits.max_agents:
            self._room.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._room.wait(), poll_s)
        else:
            await self._parts.store.wait_for_change(poll_s)
