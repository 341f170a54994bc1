"""An orchestrator among fakes: real engine, no processes, a clock that stands still until it is told to jump."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from pathlib import Path

import pytest

from ccm_orchestrator.domain import leasing
from ccm_orchestrator.domain.dialogue import Message, MessageStatus, PermissionStatus
from ccm_orchestrator.domain.events import BusEvent, EventKind
from ccm_orchestrator.domain.profiles import Profile
from ccm_orchestrator.domain.result import GitChange, TaskResult
from ccm_orchestrator.domain.run import Run, RunState
from ccm_orchestrator.domain.supervision import RetryPolicy
from ccm_orchestrator.domain.task import LeaseKey, NewTask, Task, TaskStatus
from ccm_orchestrator.engine import dispatcher, intake, leases, messenger, run, settle, stopping
from ccm_orchestrator.engine.bus import Bus
from ccm_orchestrator.engine.orchestrator import Orchestrator
from ccm_orchestrator.engine.parts import Limits, Parts
from ccm_orchestrator.engine.queues import Queue, Queues
from ccm_orchestrator.errors import StaleTerm, StoreUnavailable
from ccm_orchestrator.fakes.clock import FakeClock
from ccm_orchestrator.fakes.driver import FakeDriver
from ccm_orchestrator.fakes.launchpad import FakeLaunchpad, FakeRun
from ccm_orchestrator.fakes.memory_journal import MemoryEventStore, MemoryJournal
from ccm_orchestrator.fakes.memory_outbox import MemoryOutbox
from ccm_orchestrator.fakes.memory_tasks import MemoryTaskStore
from ccm_orchestrator.fakes.memory_trust import MemoryTrustStore
from ccm_orchestrator.fakes.terminal import FakeTerminal, FakeWindow
from ccm_orchestrator.fakes.watch import FakeWatch
from ccm_orchestrator.ports.journal import RunQuery
from ccm_orchestrator.ports.systems import SystemInfo
from ccm_orchestrator.ports.tasks import ClaimRequest, FinishAnswer, Project, Release

PATIENCE_S = 30.0
SHORT_S = 0.005
TURNS = 10
"""Of a dispatcher that finds nothing to do: each takes twice as long as one of a run."""
LIMITS = Limits(
    max_agents=3,
    renew_interval_s=0.02,
    rescue_interval_s=0.02,
    poll_interval_s=0.01,
    tick_s=SHORT_S,
    sweep_interval_s=SHORT_S,
    look_interval_s=0.0,
)


def shorten_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pauses that give the world time; the world here needs none."""
    for module, name in (
        (settle, "STORE_RETRY_S"),
        (settle, "REST_LOOK_S"),
        (run, "STORE_RETRY_S"),
        (dispatcher, "RETRY_S"),
        (intake, "RETRY_S"),
        (leases, "RETRY_S"),
        (messenger, "SETTLE_S"),
        (stopping, "LOOK_S"),
    ):
        monkeypatch.setattr(module, name, SHORT_S)


class Store(MemoryTaskStore):
    """Answers nothing to the operations in `away`, and may be told that another system took a task over."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__(clock)
        self.clock = clock
        self.away: set[str] = set()
        self.refused = 0

    async def finish(self, key: LeaseKey, result: TaskResult) -> FinishAnswer:
        self._answer("finish")
        return await super().finish(key, result)

    async def release(self, key: LeaseKey, release: Release) -> Task:
        self._answer("release")
        return await super().release(key, release)

    def take_over(self, task_id: str) -> None:
        """It belongs to another system from now on."""
        taken = leasing.taken_over(self._tasks[task_id], self.clock.now())
        self._save(replace(taken, system_id="elsewhere"))

    def delete(self, task_id: str) -> None:
        """As by hand, in the table."""
        del self._tasks[task_id]

    def _answer(self, operation: str) -> None:
        if operation in self.away:
            self.refused += 1
            raise StoreUnavailable("The store does not answer.")


class NoRepository:
    async def base_commit(self, path: Path) -> str | None:
        return None

    async def change_since(self, path: Path, base_commit: str, since: datetime | None = None) -> GitChange | None:
        return None


@dataclass
class Daemon:
    """One start of an orchestrator."""

    orchestrator: Orchestrator
    running: asyncio.Task[None]

    async def stop(self) -> None:
        """In order; the agents live on."""
        self.orchestrator.stop()
        await asyncio.wait_for(self.running, PATIENCE_S)

    @property
    def turns(self) -> int:
        return self.orchestrator.turns

    def has_turned(self, goal: int) -> bool:
        """Or it has ended, and turns no more."""
        return self.turns >= goal or self.running.done()

    async def vanish(self) -> None:
        """As by SIGKILL: nothing more is written."""
        self.orchestrator.retire()
        self.running.cancel()
        with contextlib.suppress(asyncio.CancelledError, StaleTerm):
            await self.running


class House:
    """`launches` False: windows open, but no launcher starts in them."""

    def __init__(self, project: Path, limits: Limits, profiles: Mapping[str, Profile]) -> None:
        self.clock = FakeClock()
        self.store = Store(self.clock)
        self.events = MemoryEventStore()
        self.journal = MemoryJournal(self.clock, self.events)
        self.outbox = MemoryOutbox(self.events)
        self.remotes: list[Queue] = []
        self.trust = MemoryTrustStore()
        self.watch = FakeWatch()
        self.pad = FakeLaunchpad(self.clock, self.watch)
        self.terminal = FakeTerminal(self._opened)
        self.driver = FakeDriver()
        self.launches = True
        self.project = project
        self._limits = limits
        self._profiles = profiles
        self._daemons: list[Daemon] = []

    def _opened(self, window: FakeWindow) -> None:
        if self.launches and window.run_id in self.pad.runs:
            self.pad.start(window.run_id)

    def parts(self) -> Parts:
        """Of one more start: a watch of its own, everything else is what survived."""
        self.watch = self.pad.watch = FakeWatch()
        return Parts(
            system=SystemInfo("here", "Here", "1.2.3", self._limits.max_agents, ("linux",)),
            boot_id=f"boot-{len(self._daemons)}",
            queues=Queues(self.store, self.remotes),
            journal=self.journal,
            outbox=self.outbox,
            bus=Bus(self.events),
            terminal=self.terminal,
            launchpad=self.pad,
            watch=self.watch,
            drivers={"claude": self.driver},
            workspace=NoRepository(),
            clock=self.clock,
            profiles=self._profiles,
            trust=self.trust,
            limits=self._limits,
            retry=RetryPolicy(jitter=0.0),
            chance=lambda: 0.5,
        )

    async def start(self) -> Daemon:
        """Returns when everything is adopted and claiming has begun."""
        orchestrator = Orchestrator(self.parts())
        daemon = Daemon(orchestrator, asyncio.create_task(orchestrator.run()))
        self._daemons.append(daemon)
        await self.until(lambda: orchestrator.ready or daemon.running.done(), "a ready orchestrator")
        if daemon.running.done():
            daemon.running.result()
        return daemon

    async def close(self) -> None:
        for daemon in self._daemons:
            await daemon.vanish()

    # --- asking for things ---

    async def add(self, prompt: str = "Do it.", **fields: object) -> str:
        new = replace(NewTask("demo", prompt), **fields)  # type: ignore[arg-type]
        return (await self.store.enqueue(new))[0].task_id

    async def running(self, prompt: str = "Do it.", **fields: object) -> Run:
        """The run of a new task, whose agent works."""
        task_id = await self.add(prompt, **fields)
        await self.until_status(task_id, TaskStatus.RUNNING)
        return await self.run_of(task_id)

    def says(self, run: Run, signal: str, detail: str = "", **data: object) -> None:
        """The agent's hook tells this."""
        self.pad.hook(run.run_id, "Any", {"signal": signal, "detail": detail, "data": data})

    # --- looking ---

    async def status(self, task_id: str) -> TaskStatus:
        return (await self.store.get(task_id)).status

    async def runs(self, task_id: str) -> list[Run]:
        """Oldest first."""
        return list(reversed(await self.journal.runs(RunQuery(task_id=task_id))))

    async def run_of(self, task_id: str) -> Run:
        """The newest."""
        return (await self.runs(task_id))[-1]

    def agent(self, run: Run) -> FakeRun:
        return self.pad.runs[run.run_id]

    async def kinds(self, task_id: str) -> list[EventKind]:
        return [stored.event.kind for stored in await self.events.read(0, 1000, task_id=task_id)]

    async def decisions(self) -> list[object]:
        """Of every adoption so far."""
        found = await self.events.read(0, 1000)
        return [s.event.data["decision"] for s in found if s.event.kind is EventKind.AGENT_ADOPTED]

    def typed(self, run: Run) -> list[str]:
        """What was typed into the agent's window."""
        return self.terminal.of_run(run.run_id).typed

    async def until_state(self, run: Run, wanted: str) -> None:
        async def reached() -> bool:
            views = await self.journal.views([run.run_id])
            return run.run_id in views and views[run.run_id].state == wanted

        await self.until(reached, f"{wanted} of {run.name}")

    async def until_message(self, message: Message, wanted: MessageStatus) -> None:
        async def reached() -> bool:
            found = {m.message_id: m.status for m in await self.journal.messages(message.run_id)}
            return found[message.message_id] is wanted

        await self.until(reached, f"{wanted} of {message.text!r}")

    async def until_windows(self, count: int) -> None:
        async def reached() -> bool:
            return len(await self.terminal.windows()) == count

        await self.until(reached, f"{count} windows")

    async def until_permission(self, run: Run, wanted: PermissionStatus) -> None:
        async def reached() -> bool:
            (request,) = await self.journal.permissions(run.run_id, open_only=False)
            return request.status is wanted

        await self.until(reached, f"a permission that is {wanted}")

    # --- what a daemon left behind ---

    async def lost_claim(self) -> ClaimRequest:
        """A claim that the store granted and whose answer nobody saw."""
        request = ClaimRequest("request-1", "here", "boot-lost", 1, self._limits.lease_s)
        await self.journal.remember_claim(request)
        await self.store.claim(request)
        return request

    async def said_goodbye(self) -> None:
        """The last word of a daemon that was stopped in order."""
        await self.events.append([BusEvent(EventKind.DAEMON_STOPPED, self.clock.now())])

    async def until_status(self, task_id: str, *wanted: TaskStatus) -> Task:
        async def reached() -> bool:
            return await self.status(task_id) in wanted

        await self.until(reached, f"{' or '.join(wanted)} of task {task_id}")
        return await self.store.get(task_id)

    async def until_ended(self, run: Run) -> Run:
        async def ended() -> bool:
            return (await self.journal.run(run.run_id)).state is RunState.ENDED

        await self.until(ended, f"the end of {run.name}")
        return await self.journal.run(run.run_id)

    async def until(self, condition: Callable[[], object], what: str) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while True:
            told = condition()
            if await told if asyncio.iscoroutine(told) else told:
                return
            assert time.monotonic() < deadline, f"{what} did not happen"
            await asyncio.sleep(0.002)

    async def settled(self) -> None:
        """Everybody who lives has looked at everything several times: what has not happened by now will not."""
        living = [(daemon, daemon.turns + TURNS) for daemon in self._daemons if not daemon.running.done()]
        for daemon, goal in living:
            await self.until(partial(daemon.has_turned, goal), f"{TURNS} turns")


PROFILES = {
    "executor": Profile("executor"),
    "marked": Profile("marked", end_marker=True),
    "frugal": Profile("frugal", budget_usd=1.0),
}


@asynccontextmanager
async def house(project: Path, limits: Limits = LIMITS) -> AsyncIterator[House]:
    built = House(project, limits, PROFILES)
    await built.store.add_project(Project("demo", project))
    try:
        yield built
    finally:
        await built.close()
