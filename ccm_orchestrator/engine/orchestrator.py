"""One orchestrator: adopts what is there, then claims and follows, until it is stopped or superseded."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

from ccm_orchestrator.domain.events import BusEvent, EventKind
from ccm_orchestrator.engine.adoption import adopt_all
from ccm_orchestrator.engine.cancelling import cancel_all
from ccm_orchestrator.engine.capacity import Capacity
from ccm_orchestrator.engine.courier import Courier
from ccm_orchestrator.engine.dispatcher import Dispatcher
from ccm_orchestrator.engine.heartbeats import Heart, Hearts
from ccm_orchestrator.engine.intake import Intake
from ccm_orchestrator.engine.leases import Leases
from ccm_orchestrator.engine.live import LiveRun
from ccm_orchestrator.engine.neighbours import Neighbours
from ccm_orchestrator.engine.parts import Parts
from ccm_orchestrator.engine.queues import Queue
from ccm_orchestrator.engine.roster import Roster
from ccm_orchestrator.engine.settle import patiently
from ccm_orchestrator.engine.sweep import Sweeper
from ccm_orchestrator.errors import StaleTerm, StoreError, StoreUnavailable, TerminalError
from ccm_orchestrator.ports.journal import RunQuery
from ccm_orchestrator.ports.launching import Wakeup, WakeupKind

log = logging.getLogger(__name__)

TIDY_S = 3600.0
LONGEST_TIDYING_S = 600.0
LONGEST_START_S = 60.0
"""Of the tmux server, by whoever keeps it."""
BEAT_S = 2.0


class Orchestrator:
    """Lives in one event loop of its own thread."""

    def __init__(self, parts: Parts, on_ready: Callable[[], None] = lambda: None) -> None:
        """`on_ready` is called in this orchestrator's thread when everything is adopted and claiming begins."""
        self._parts = parts
        self._on_ready = on_ready
        self._roster = Roster(self._vacated)
        self._retired = False
        self._intake = Intake(parts, self._roster.reader, self._roster.receive, self._check_term)
        self._leases = {
            queue.name: Leases(parts, queue, partial(self._roster.keys, queue.name)) for queue in parts.queues
        }
        limits = parts.limits
        self._capacity = Capacity(
            limits.max_agents, self._roster.__len__, len(parts.queues), self._freed, self._yielding
        )
        self._dispatchers: list[Dispatcher] = []
        self._renew_now = asyncio.Event()
        self._stop = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self.hearts = Hearts(limits.beat_s, parts.stall)
        self.ready = False

    @property
    def turns(self) -> int:
        """Of the embedded store's dispatcher."""
        return self._dispatchers[0].ticks if self.ready else 0

    async def run(self) -> None:
        """Until `stop`. The agents live on. Raises: StaleTerm when it was superseded."""
        self._loop = asyncio.get_running_loop()
        beat = asyncio.create_task(self._beat(self.hearts.add("database")))
        start, stop = asyncio.create_task(self._start_up()), asyncio.create_task(self._stop.wait())
        try:
            await asyncio.wait({start, stop}, return_when=asyncio.FIRST_COMPLETED)
            if start.done():
                self._on_ready()
                start.result()
                await self._serve()
        finally:
            for task in (start, stop, beat):
                task.cancel()
            await asyncio.gather(start, stop, beat, return_exceptions=True)
            await self._roster.stop()
            await self._parts.watch.stop()
        self._check_term()

    async def _start_up(self) -> None:
        """Everything that an earlier daemon left is taken over before anything is claimed."""
        with self.hearts.beating("start-up") as heart:
            await self._take_over(heart)
        self.ready = True

    async def _take_over(self, heart: Heart) -> None:
        await heart.turn()
        parts, beat = self._parts, heart.beat
        term = await patiently(lambda: parts.journal.begin_term(parts.boot_id), beat)
        await patiently(lambda: parts.queues.local.register_system(parts.system, parts.boot_id), beat)
        await heart.during(self._start_terminal(), LONGEST_START_S)
        await parts.watch.start()
        self._dispatchers = [
            Dispatcher(parts, term, self._roster, self._intake, leases, self._capacity, self._check_term)
            for leases in self._leases.values()
        ]
        self._couriers = [Courier(parts, queue, self._leases[queue.name]) for queue in parts.queues.remotes]
        for courier in self._couriers:
            await patiently(courier.start, beat)
        found = await patiently(lambda: adopt_all(parts, term, self._roster, self._intake, self._leases, beat), beat)
        await patiently(lambda: self._dispatchers[0].recover_claims(heart), beat)
        started = {"term": term, "adopted": len(found.decisions)}
        event = BusEvent(EventKind.DAEMON_STARTED, parts.clock.now(), data=started)
        await patiently(lambda: parts.bus.publish(event), beat)

    def _duties(self) -> list[Coroutine[None, None, None]]:
        """Each never ends by itself, and has a heart."""
        queues, remotes = self._parts.queues, self._parts.queues.remotes
        return [
            self._listen(self._heart("listener")),
            self._intake.run(self._heart("intake")),
            self._tidy(self._heart("tidying", LONGEST_TIDYING_S)),
            Sweeper(self._parts, self._roster.runs).run(self._heart("sweeper")),
            *(self._renew(self._leases[queue.name], self._heart("renewal", queue)) for queue in queues),
            *(self._rescue(self._leases[queue.name], self._heart("rescue", queue)) for queue in queues),
            *(one.run(self._heart("courier", queue)) for one, queue in zip(self._couriers, remotes, strict=True)),
            *(Neighbours(self._parts, queue).run(self._heart("neighbours", queue)) for queue in remotes),
            *(one.run(self._heart("dispatcher", queue)) for one, queue in zip(self._dispatchers, queues, strict=True)),
        ]

    def _heart(self, duty: str, of: Queue | float | None = None) -> Heart:
        """Of a duty, or of one that is done for a queue; a number is the deadline of one that takes long."""
        if isinstance(of, Queue):
            deadline_s = self._parts.limits.remote_beat_s if of.remote else None
            return self.hearts.add(f"{duty} of {of.name}", deadline_s)
        return self.hearts.add(duty, of)

    async def _serve(self) -> None:
        tasks: list[asyncio.Task[object]] = [asyncio.create_task(duty) for duty in self._duties()]
        stop: asyncio.Task[object] = asyncio.create_task(self._stop.wait())
        try:
            done, _ = await asyncio.wait([*tasks, stop], return_when=asyncio.FIRST_COMPLETED)
            for task in done - {stop}:
                task.result()  # a duty never returns: if one did, its error ends this orchestrator
        finally:
            await cancel_all([*tasks, stop])
            await self._roster.stop()
            await self._parts.watch.stop()

    # --- called from other threads ---

    def poke(self) -> None:
        """Somebody wrote an intent: look at it now."""
        self._call(self._poked)

    def stop(self) -> None:
        self._call(self._stop.set)

    def retire(self) -> None:
        """Superseded: whatever this orchestrator does when it wakes up, it does nothing that can be seen."""
        self._retired = True
        self._roster.retire()
        self.stop()

    def _check_term(self) -> None:
        if self._retired:
            raise StaleTerm()

    def _call(self, act: Callable[[], None]) -> None:
        loop = self._loop
        if loop is not None and not loop.is_closed():
            loop.call_soon_threadsafe(act)

    def _poked(self) -> None:
        self._renew_now.set()
        self._renew_now = asyncio.Event()
        self._roster.poke_all()

    def _vacated(self, live: LiveRun) -> None:
        if not live.queue.remote:  # of the others the courier still needs it
            self._leases[live.queue.name].forget(live.run.key)
        self._freed()

    def _yielding(self) -> int:
        return len(self._roster.resting())

    def _freed(self) -> None:
        for dispatcher in self._dispatchers:
            dispatcher.vacated()

    # --- duties ---

    async def _listen(self, heart: Heart) -> None:
        """A hint that waits is taken at once; whether there are any is no proof of anything."""
        wakeups = aiter(self._parts.watch.wakeups())
        while True:
            await heart.turn()
            upcoming: asyncio.Future[Any] = asyncio.ensure_future(anext(wakeups))
            try:
                while not (await asyncio.wait({upcoming}, timeout=heart.idle_s))[0]:
                    await heart.turn()
            finally:
                upcoming.cancel()
            self._hear(upcoming.result())

    def _hear(self, wakeup: Wakeup) -> None:
        if wakeup.kind is WakeupKind.SPOOL and wakeup.run_id is not None:
            self._intake.mark(wakeup.run_id)
        else:
            self._roster.wake(wakeup)

    async def _renew(self, leases: Leases, heart: Heart) -> None:
        while True:
            await heart.turn()
            poked = self._renew_now
            try:
                self._roster.answer(leases.queue.name, await leases.renew(beat=heart.beat))
            except StoreError as error:
                log.log(_grade(leases.queue), "leases of %s are not renewed: %s", leases.queue.name, error.message)
            await heart.rest(self._parts.limits.renew_interval_s, poked)

    async def _rescue(self, leases: Leases, heart: Heart) -> None:
        parts, queue = self._parts, leases.queue
        while True:
            await heart.turn()
            try:
                # After a suspend our own leases look expired.
                self._roster.answer(queue.name, await leases.renew(parts.limits.renew_interval_s, heart.beat))
                for task in await queue.store.rescue(parts.system_id, parts.limits.takeover_grace_s):
                    log.info("task %s is %s again", task.task_id, task.status)
            except StoreError as error:
                log.log(_grade(queue), "rescue in %s is skipped: %s", queue.name, error.message)
            await heart.rest(parts.limits.rescue_interval_s * (2 if queue.remote else 1))

    async def _tidy(self, heart: Heart) -> None:
        parts = self._parts
        while True:
            await heart.turn()
            for run_id in self._roster.ids():
                self._intake.mark(run_id)
            try:
                keep = frozenset(
                    run.run_id for run in await parts.journal.runs(RunQuery(open_only=True, limit=100_000))
                )
                await parts.launchpad.sweep(keep, parts.limits.run_directory_age_s)
            except StoreUnavailable as error:
                log.warning("tidying is skipped: %s", error.message)
            await heart.rest(TIDY_S)

    async def _beat(self, heart: Heart) -> None:
        """The probe waits for the database: a hung one is no progress, one that answers "unavailable" is."""
        while True:
            try:
                await self._parts.journal.open_claims()
            except StoreUnavailable as error:
                log.warning("the journal is away: %s", error.message)
            await heart.turn()
            await asyncio.sleep(min(BEAT_S, heart.idle_s))

    # --- starting ---

    async def _start_terminal(self) -> None:
        """A missing or hung tmux does not keep the daemon down: tasks are held with that reason meanwhile."""
        try:
            await self._parts.terminal.start()
        except TerminalError as error:
            log.error("%s", error.message)


def _grade(queue: Queue) -> int:
    """That a store is away which is somewhere else, its dispatcher and its courier say once."""
    return logging.DEBUG if queue.remote else logging.WARNING
