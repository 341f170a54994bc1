"""What agents in print mode write, line by line, as it is written: for whoever follows a task.

The lines of a task are those of its runs, one run after the other, so that their numbers stay the same for ever:
whoever was away goes on after the last number it saw, whichever daemon it asks.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from typing import Any

from ccm_orchestrator.domain.run import Run, RunState
from ccm_orchestrator.domain.task import Task
from ccm_orchestrator.engine.bus import Bus
from ccm_orchestrator.engine.cancelling import cancel_all
from ccm_orchestrator.errors import OrchestratorError, OutputGone
from ccm_orchestrator.ports.journal import Journal, RunQuery
from ccm_orchestrator.ports.launching import STREAM_FILE, Launchpad, Ticket, WakeupKind, Watch
from ccm_orchestrator.ports.tasks import TaskStore

log = logging.getLogger(__name__)

LOOK_S = 5.0
"""How often a follower looks by itself: wake-ups are hints."""
BLIND_LOOK_S = 0.25
"""The same when nobody can tell it of lines."""
MOST_RUNS = 500


@dataclass(frozen=True, slots=True)
class Line:
    number: int
    """From 1, within the task."""
    text: str


@dataclass(frozen=True, slots=True)
class Standing:
    """The task's status is another than before."""

    task: Task


class Outputs:
    """Belongs to the event loop of its followers. Without followers it costs nothing."""

    def __init__(self, store: TaskStore, journal: Journal, launchpad: Launchpad, watch: Watch, bus: Bus) -> None:
        """`watch`: its own; no other part of the daemon listens to it."""
        self._store = store
        self._journal = journal
        self._launchpad = launchpad
        self._watch = watch
        self._bus = bus
        self._followers: set[_Follower] = set()
        self._relays: list[asyncio.Task[object]] = []
        self._changing = asyncio.Lock()
        self._closing: asyncio.Task[None] | None = None
        self._look_s = LOOK_S

    async def follow(
        self, task_id: str, after: int, stopping: asyncio.Future[Any], idle_s: float
    ) -> AsyncGenerator[Line | Standing | None, None]:
        """The lines after that number, where the task stands, and None whenever nothing came for `idle_s`.

        The last is a `Standing` at the task's end, unless `stopping` is done before. Raises: TaskNotFound.
        """
        follower = _Follower(task_id, idle_s)
        reader = _Reader(self._launchpad, after)
        await self._join(follower)
        stopping.add_done_callback(lambda _: follower.woken.set())
        try:
            task: Task | None = None
            while not stopping.done():
                if follower.take_news_of_task() or task is None:
                    before, task = task, await self._store.get(task_id)
                    reader.runs = await self._launched(follower)
                    if not task.status.terminal and (before is None or before.status is not task.status):
                        yield Standing(task)
                for line in await reader.take(complete=task.status.terminal):
                    yield line
                if task.status.terminal:
                    yield Standing(task)
                    return
                if await follower.idle(self._look_s):
                    yield None
        finally:
            self._leave(follower)

    async def require(self, task_id: str) -> None:
        """Raises: OutputGone, when lines of it were there and are not kept any more."""
        task = await self._store.get(task_id)
        runs = await self._journal.runs(RunQuery(task_id=task_id, limit=MOST_RUNS)) if task.status.terminal else ()
        for run in runs:
            if run.started_at is not None and (await self._launchpad.trace(run.run_id)).ticket is Ticket.NONE:
                raise OutputGone(
                    "What the agent wrote in this turn is not kept any more; its task still has the result.",
                    task_id=task_id,
                )

    async def _launched(self, follower: _Follower) -> Sequence[Run]:
        """Its runs in order; the last one is watched from now on."""
        runs = await self._journal.runs(RunQuery(task_id=follower.task_id, limit=MOST_RUNS))
        launched = [run for run in reversed(runs) if run.state is not RunState.INTENDED]
        if launched and launched[-1].run_id != follower.run_id:
            self._forget(follower)
            follower.run_id = launched[-1].run_id
            self._watch.add_run(follower.run_id)
        return launched

    def _forget(self, follower: _Follower) -> None:
        run_id, follower.run_id = follower.run_id, None
        if run_id is not None and all(other.run_id != run_id for other in self._followers):
            self._watch.forget_run(run_id)

    async def _join(self, follower: _Follower) -> None:
        async with self._changing:
            self._followers.add(follower)
            if not self._relays:
                self._relays = [asyncio.create_task(self._relay_events(await self._bus.log.last_seq()))]
                await self._start_watch()

    async def _start_watch(self) -> None:
        self._look_s = LOOK_S
        try:
            await self._watch.start()
        except OrchestratorError as error:
            self._look_s = BLIND_LOOK_S
            log.warning("lines of agents are looked for every %g s: %s", BLIND_LOOK_S, error.message)
        else:
            self._relays.append(asyncio.create_task(self._relay_files()))

    def _leave(self, follower: _Follower) -> None:
        """Waits for nothing: whoever follows is often cancelled, and cancelled again while it waits."""
        self._followers.discard(follower)
        self._forget(follower)
        if not self._followers:
            self._closing = asyncio.create_task(self._close())

    async def _close(self) -> None:
        async with self._changing:
            if not self._followers:
                relays, self._relays = self._relays, []
                await cancel_all(relays)
                await self._watch.stop()

    async def _relay_files(self) -> None:
        async for wakeup in self._watch.wakeups():
            if wakeup.kind in (WakeupKind.STREAM, WakeupKind.EXIT):
                for follower in self._followers:
                    if wakeup.run_id in (None, follower.run_id):
                        follower.woken.set()

    async def _relay_events(self, seq: int) -> None:
        async for stored in self._bus.follow(seq):
            for follower in self._followers:
                if stored is not None and stored.event.task_id == follower.task_id:
                    follower.tell_of_task()


class _Follower:
    """One who is told."""

    def __init__(self, task_id: str, idle_s: float) -> None:
        self.task_id = task_id
        self._idle_s = idle_s
        self._idle_since_s = time.monotonic()
        self.run_id: str | None = None
        """The run that is watched for it."""
        self.woken = asyncio.Event()
        self._task_changed = False

    def tell_of_task(self) -> None:
        self._task_changed = True
        self.woken.set()

    def take_news_of_task(self) -> bool:
        """Clears all news: what comes from now on is news again."""
        self.woken.clear()
        changed, self._task_changed = self._task_changed, False
        return changed

    async def idle(self, look_s: float) -> bool:
        """Waits for news; after `look_s` everything counts as such. True when none came for long."""
        try:
            await asyncio.wait_for(self.woken.wait(), min(look_s, self._idle_s))
        except TimeoutError:
            self._task_changed = True
            if time.monotonic() - self._idle_since_s < self._idle_s:
                return False
        else:
            self._idle_since_s = time.monotonic()
            return False
        self._idle_since_s = time.monotonic()
        return True


class _Reader:
    """Reads on in the files of one run after the other."""

    def __init__(self, launchpad: Launchpad, after: int) -> None:
        self.runs: Sequence[Run] = ()
        self._launchpad = launchpad
        self._after = after
        self._number = 0
        self._index = 0
        self._offset = 0
        self._rest = b""

    async def take(self, complete: bool) -> list[Line]:
        """Lines that were not taken yet. `complete`: the last run writes no more, so that what is left is a line."""
        lines: list[Line] = []
        while self._index < len(self.runs):
            last = self._index == len(self.runs) - 1
            chunk = await self._launchpad.read_file(self.runs[self._index].run_id, STREAM_FILE, self._offset)
            self._offset += len(chunk)
            *whole, self._rest = (self._rest + chunk).split(b"\n")
            if self._rest and (complete or not last):
                whole.append(self._rest)
                self._rest = b""
            lines += self._numbered(whole)
            if last:
                break
            self._index, self._offset, self._rest = self._index + 1, 0, b""
        return lines

    def _numbered(self, whole: Sequence[bytes]) -> list[Line]:
        first, self._number = self._number + 1, self._number + len(whole)
        numbered = (Line(number, raw.decode("utf-8", "replace")) for number, raw in enumerate(whole, first))
        return [line for line in numbered if line.number > self._after and line.text.strip()]
