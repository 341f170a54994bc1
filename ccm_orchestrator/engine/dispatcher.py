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
from ccm_orchestrator.engine.capacity import Capacity
from ccm_orchestrator.engine.failpoints import CLAIM_ANSWERED, CLAIM_REMEMBERED
from ccm_orchestrator.engine.heartbeats import Heart
from ccm_orchestrator.engine.intake import Intake
from ccm_orchestrator.engine.leases import Leases
from ccm_orchestrator.engine.lingering import rests
from ccm_orchestrator.engine.live import LiveRun
from ccm_orchestrator.engine.parts import Parts
from ccm_orchestrator.engine.queues import pause_after
from ccm_orchestrator.engine.roster import Roster
from ccm_orchestrator.engine.run import carry_out, take_over
from ccm_orchestrator.engine.spawn import CannotSpawn, NotApproved, intend, is_approved
from ccm_orchestrator.errors import Fenced, StoreError, StoreUnavailable, WrongStatus
from ccm_orchestrator.ports.journal import RunQuery
from ccm_orchestrator.ports.tasks import ClaimRequest, Release, ReleaseKind, TaskQuery

log = logging.getLogger(__name__)

RETRY_S = 2.0
REMOTE_WAIT_S = 5.0
LONGEST_END_S = 300.0
"""How long an agent may take to end whose place or whose task is wanted."""
DRAINING = "The system was told to begin nothing more."
NO_PLACE = "The agent whose place it was to have works again."
PLACE_LOOK_S = 0.05
GATHER_S = 0.03
"""After a look at the embedded store that found nothing to start: rows that come by the hundred cost one look then."""
ANY_QUEUED = TaskQuery(frozenset({TaskStatus.QUEUED}), limit=1)


class Dispatcher:
    """Claims from one queue what there is room for, and starts it. Every claim is remembered before it is made."""

    def __init__(
        self,
        parts: Parts,
        term: int,
        roster: Roster,
        intake: Intake,
        leases: Leases,
        capacity: Capacity,
        check_term: Callable[[], None] = lambda: None,
    ) -> None:
        self._parts = parts
        self._queue = leases.queue
        self._capacity = capacity
        self._term = term
        self._roster = roster
        self._intake = intake
        self._leases = leases
        self._check_term = check_term
        self._room = asyncio.Event()
        self._complaint = ""
        self._drained = False
        self.ticks = 0
        """Turns of the loop."""

    def vacated(self) -> None:
        """A run ended: there is room."""
        self._room.set()

    async def recover_claims(self, heart: Heart) -> None:
        """Claims of an earlier daemon that were never answered are repeated: the same rows come back, for this boot."""
        for request in await self._open_claims():
            await self._claim(request, heart)

    async def run(self, heart: Heart) -> None:
        worth_asking = True
        while True:
            self.ticks += 1
            await heart.turn()
            try:
                started = worth_asking and await self._fill(heart)
            except StoreError as error:
                self._complain(error)
                await heart.rest(RETRY_S if isinstance(error, StoreUnavailable) else pause_after(error))
                worth_asking = True
                continue
            self._complaint = "" if worth_asking else self._complaint
            # An embedded store is asked at least every poll interval; one that is somewhere else says itself when.
            worth_asking = started or await self._wait(heart) or not self._queue.remote

    def _complain(self, error: StoreError) -> None:
        if error.message != self._complaint:
            log.warning("claiming from %s pauses: %s", self._queue.name, error.message)
        self._complaint = error.message

    async def _open_claims(self) -> list[ClaimRequest]:
        claims = await self._parts.journal.open_claims()
        return [replace(one, boot_id=self._parts.boot_id) for one in claims if one.store == self._queue.name]

    async def _fill(self, heart: Heart) -> bool:
        self._check_term()
        with self._capacity.reserve() as room:
            if room <= 0:
                return False
            if self._drained and await self._draining():  # and no claim of ours is open
                return False
            for request in await self._open_claims():
                return bool(await self._claim(request, heart))
            if not self._queue.remote and not await self._queue.store.list(ANY_QUEUED):
                return False
            if await self._draining() or not self._parts.may_begin():
                return False
            request = self._request(room)
            await self._parts.journal.remember_claim(request)
            self._parts.reach(CLAIM_REMEMBERED)
            return bool(await self._claim(request, heart))

    async def _draining(self) -> bool:
        """As the embedded store has it: one that is somewhere else may not have been told yet."""
        systems = await self._parts.queues.local.systems()
        self._drained = any(one.draining for one in systems if one.system_id == self._parts.system_id)
        return self._drained

    def _request(self, count: int) -> ClaimRequest:
        parts = self._parts
        return ClaimRequest(
            secrets.token_hex(16), parts.system_id, parts.boot_id, count, parts.limits.lease_s, self._queue.name
        )

    async def _claim(self, request: ClaimRequest, heart: Heart) -> int:
        asked_at_s = self._parts.clock.uptime_s()
        tasks = await self._queue.store.claim(request)
        self._parts.reach(CLAIM_ANSWERED)
        for task in tasks:
            heart.beat()
            self._leases.grant(task.key, asked_at_s)
            await self._start(task, heart)
        await self._parts.journal.settle_claim(request.request_id)
        return len(tasks)

    async def _start(self, task: Task, heart: Heart) -> None:
        """A claim whose answer came twice is started once: the journal knows its fence."""
        runs = await self._parts.journal.runs(RunQuery(task_id=task.task_id, limit=5))
        if any(run.fence == task.fence for run in runs):
            return
        if await self._draining():
            await self._hand_back(task, DRAINING)
            return
        if self._roster.of_task(task.task_id) is not None:
            await heart.during(self._end_older_run(task), LONGEST_END_S)
        await heart.during(self._capacity.entering.acquire(), LONGEST_END_S)
        try:
            if await self._has_place(heart):
                await self._enter(task)
            else:
                await self._hand_back(task, NO_PLACE)
        finally:
            self._capacity.entering.release()

    async def _has_place(self, heart: Heart) -> bool:
        """One is free, or was given up by an agent that only rested."""
        while self._capacity.full:
            resting = self._roster.resting()
            if not resting:
                return False
            await heart.during(self._wait_for_place(resting[0]), LONGEST_END_S)
        return True

    async def _wait_for_place(self, live: LiveRun) -> None:
        """Until it has hibernated, or a message came first."""
        log.info("agent %s hibernates: another task needs its place", live.run.name)
        live.want_place()
        while rests(live) and not live.over.is_set():
            self._check_term()
            self.ticks += 1
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(live.over.wait(), PLACE_LOOK_S)
        live.want_place(False)

    async def _enter(self, task: Task) -> None:
        try:
            live = await intend(self._parts, self._term, task, self._queue)
        except CannotSpawn as refusal:
            await self._refuse(task, refusal)
            return
        self._roster.add(
            live,
            lambda: carry_out(live, self._intake, self._leases),
            lambda: take_over(live, self._intake, self._leases),
        )
        await live.publish(EventKind.TASK_CLAIMED, agent=live.run.name, attempt=task.attempt)

    async def _hand_back(self, task: Task, why: str) -> None:
        """The claim was answered too late."""
        with contextlib.suppress(Fenced):
            await self._queue.store.release(task.key, Release(ReleaseKind.VOLUNTARY, why))
        self._leases.forget(task.key)
        log.info("task %s is handed back: %s", task.task_id, why)

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
        hold = refusal.ending.hold
        release = Release(ReleaseKind.VOLUNTARY, failure.message, after.run_after, hold or after.hold)
        try:
            await self._queue.store.release(task.key, release)
        except Fenced:
            return
        log.warning("task %s is held: %s", task.task_id, failure.message)
        held = BusEvent(EventKind.TASK_HELD, self._parts.clock.now(), task.task_id, None, {"reason": failure.message})
        await self._parts.bus.publish(held)
        if isinstance(refusal, NotApproved) and await is_approved(self._parts, task):  # while it was being held
            with contextlib.suppress(WrongStatus):  # whoever approved has done it
                await self._queue.store.unhold(task.task_id)

    async def _wait(self, heart: Heart) -> bool:
        """Until there may be something to claim and room for it (True), or the poll interval is over."""
        poll_s = min(self._parts.limits.poll_interval_s, heart.idle_s)
        if self._capacity.room:
            if self._queue.remote:
                return await self._queue.store.wait_for_change(min(REMOTE_WAIT_S, heart.idle_s))
            await heart.rest(GATHER_S)
            return await self._queue.store.wait_for_change(poll_s)
        self._room.clear()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._room.wait(), poll_s)
        return True
