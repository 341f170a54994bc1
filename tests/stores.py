"""Stores for tests: every kind behind the same factory, and the words in which the laws are told."""

import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import pytest

from ccm_orchestrator.adapters.sqlite.database import Database
from ccm_orchestrator.adapters.sqlite.events import SqliteEventStore
from ccm_orchestrator.adapters.sqlite.journal import SqliteJournal
from ccm_orchestrator.adapters.sqlite.tasks import SqliteTaskStore
from ccm_orchestrator.devstack.stack import LocalSupabase
from ccm_orchestrator.domain.result import Failure, FailureKind, Outcome, TaskResult
from ccm_orchestrator.domain.task import NewTask, Task
from ccm_orchestrator.fakes.clock import FakeClock
from ccm_orchestrator.fakes.memory_journal import MemoryEventStore, MemoryJournal
from ccm_orchestrator.fakes.memory_tasks import MemoryTaskStore
from ccm_orchestrator.ports.journal import EventStore, Journal
from ccm_orchestrator.ports.tasks import ClaimRequest, LeaseAnswer, Project, Release, ReleaseKind, TaskStore
from tests.supabase_queue import DatabaseClock, SharedProjects, connected

LEASE_S = 60.0
GRACE_S = 600.0
HEARTBEAT_S = 30.0
QUEUE_LIMIT = 20

SUCCEEDED = TaskResult(Outcome.SUCCEEDED, "it is mended")
FAILED = TaskResult(Outcome.FAILED, failure=Failure(FailureKind.AGENT_ERROR, "it cannot be mended"))
GIVEN_BACK = Release(ReleaseKind.VOLUNTARY, "the daemon stops")


@dataclass
class Queue:
    """A task store with one project `demo`, and a clock that jumps."""

    store: TaskStore
    clock: FakeClock
    beating: list[str] = field(default_factory=list)
    """Systems that go on sending heartbeats while time passes."""

    def now(self) -> datetime:
        return self.clock.now()

    async def add(self, prompt: str = "Mend it", **wishes: object) -> Task:
        task, _ = await self.store.enqueue(NewTask(**{"project": "demo", "prompt": prompt} | wishes))  # type: ignore[arg-type]
        return task

    async def claim(self, count: int = 1, system: str = "here", request: str | None = None) -> Sequence[Task]:
        request_id = request or uuid.uuid4().hex
        return await self.store.claim(ClaimRequest(request_id, system, f"{system}-boot", count, LEASE_S))

    async def claim_one(self, system: str = "here") -> Task:
        (task,) = await self.claim(1, system)
        return task

    async def running(self, **wishes: object) -> Task:
        await self.add(**wishes)  # type: ignore[arg-type]
        claimed = await self.claim_one()
        return await self.store.begin(claimed.key, "run-" + claimed.task_id)

    async def renew(self, *tasks: Task, system: str = "here", boot: str | None = None) -> LeaseAnswer | None:
        """The answer for the first one."""
        keys = [task.key for task in tasks]
        answers = await self.store.renew(system, boot or f"{system}-boot", keys, LEASE_S)
        return answers[keys[0].task_id] if keys else None

    async def get(self, task: Task) -> Task:
        return await self.store.get(task.task_id)

    async def pass_time(self, seconds: float) -> None:
        """In steps, with heartbeats of the systems in `beating` and nothing else."""
        while seconds > 0:
            self.clock.advance(min(HEARTBEAT_S, seconds))
            seconds -= HEARTBEAT_S
            for system in self.beating:
                await self.renew(system=system)


QueueFactory = Callable[[], Awaitable[Queue]]


@pytest.fixture(params=["memory", "sqlite", "supabase"])
async def task_store_factory(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[QueueFactory]:
    """Makes empty queues; a further kind of store joins every law by a further name here."""
    async with AsyncExitStack() as stack:

        async def memory() -> Queue:
            clock = FakeClock()
            return Queue(MemoryTaskStore(clock, QUEUE_LIMIT), clock)

        async def sqlite() -> Queue:
            clock = FakeClock()
            database = await opened(stack, tmp_path / uuid.uuid4().hex / "ccm.db")
            return Queue(SqliteTaskStore(database, clock, QUEUE_LIMIT), clock)

        async def supabase() -> Queue:
            project: LocalSupabase = request.getfixturevalue("supabase_stack")
            project.reset()
            clock = DatabaseClock(project)
            return Queue(SharedProjects(await connected(stack, project), QUEUE_LIMIT), clock)

        kinds = {"memory": memory, "sqlite": sqlite, "supabase": supabase}

        async def make() -> Queue:
            queue = await kinds[request.param]()
            await queue.store.add_project(Project("demo", tmp_path))
            return queue

        yield make


@pytest.fixture
async def queue(task_store_factory: QueueFactory) -> Queue:
    return await task_store_factory()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture(params=["memory", "sqlite"])
async def journal(request: pytest.FixtureRequest, tmp_path: Path, clock: FakeClock) -> AsyncIterator[Journal]:
    async with AsyncExitStack() as stack:
        if request.param == "memory":
            yield MemoryJournal(clock)
        else:
            yield SqliteJournal(await opened(stack, tmp_path / "ccm.db"), clock)


@pytest.fixture(params=["memory", "sqlite"])
async def event_store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[EventStore]:
    async with AsyncExitStack() as stack:
        if request.param == "memory":
            yield MemoryEventStore()
        else:
            yield SqliteEventStore(await opened(stack, tmp_path / "ccm.db"))


async def opened(stack: AsyncExitStack, path: Path) -> Database:
    database = Database(path)
    await database.open()
    stack.push_async_callback(database.close)
    return database


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    async with AsyncExitStack() as stack:
        yield await opened(stack, tmp_path / "ccm.db")
