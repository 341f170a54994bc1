"""Any order of any operations, against a model small enough to be believed."""

import asyncio
import shutil
import tempfile
from collections import Counter
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, multiple, rule

from ccm_orchestrator.adapters.sqlite.database import Database
from ccm_orchestrator.adapters.sqlite.tasks import SqliteTaskStore
from ccm_orchestrator.devstack.stack import LocalSupabase
from ccm_orchestrator.domain.presence import HEARTBEAT_PRECISION
from ccm_orchestrator.domain.result import Outcome, TaskResult
from ccm_orchestrator.domain.task import TRANSITIONS, Hold, HoldReason, LeaseKey, NewTask, Task, TaskStatus
from ccm_orchestrator.errors import Fenced, WrongStatus
from ccm_orchestrator.fakes.clock import FakeClock
from ccm_orchestrator.fakes.memory_tasks import MemoryTaskStore
from ccm_orchestrator.ports.tasks import (
    ClaimRequest,
    FinishAnswer,
    LeaseAnswer,
    Project,
    Release,
    ReleaseKind,
    TaskQuery,
    TaskStore,
)
from tests.supabase_queue import DatabaseClock, SharedProjects, connected

LEASE_S = 60.0
GRACE_S = 300.0
SYSTEMS = st.sampled_from(["here", "there"])
BUDGET = Hold(HoldReason.BUDGET, "too dear")

T = TypeVar("T")


@dataclass
class Known:
    """What the model believes of one task."""

    status: TaskStatus = TaskStatus.QUEUED
    fence: int = 0
    owner: str = ""
    expires_at: datetime | None = None
    cancelling: bool = False
    dedup_key: str | None = None
    outcomes: int = 0
    """Recorded since the task was last retried."""

    @property
    def finished(self) -> bool:
        return self.status.terminal


@dataclass
class Model:
    tasks: dict[str, Known] = field(default_factory=dict)
    recorded: set[LeaseKey] = field(default_factory=set)
    claims: Counter[LeaseKey] = field(default_factory=Counter)
    requests: dict[str, set[LeaseKey]] = field(default_factory=dict)
    last_contact: dict[str, datetime] = field(default_factory=dict)

    def current(self, key: LeaseKey) -> Known | None:
        """The task, when this key may write to it."""
        task = self.tasks[key.task_id]
        return task if task.status.leased and task.fence == key.fence else None


class TaskStoreMachine(RuleBasedStateMachine):
    tasks = Bundle("tasks")
    keys = Bundle("keys")
    requests = Bundle("requests")

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.clock = FakeClock()
        self.store = self.do(self.make_store())
        self.model = Model()
        self.do(self.store.add_project(Project("one", Path("/one"))))
        self.do(self.store.add_project(Project("two", Path("/two"))))

    async def make_store(self) -> TaskStore:
        return MemoryTaskStore(self.clock, queue_limit=1000)

    def do(self, operation: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(operation)

    def teardown(self) -> None:
        self.runner.close()

    @initialize(target=tasks)
    def begin_with_a_task(self) -> Any:
        return self.add("one", 0, None, None)

    @rule(
        target=tasks,
        project=st.sampled_from(["one", "two"]),
        priority=st.integers(-1, 1),
        dedup_key=st.sampled_from([None, None, "a", "b"]),
        after=st.none() | tasks,
    )
    def add(self, project: str, priority: int, dedup_key: str | None, after: str | None) -> str:
        new = NewTask(project, "Mend it", priority=priority, dedup_key=dedup_key, after=(after,) if after else ())
        task, is_new = self.do(self.store.enqueue(new))
        rivals = [k for k, t in self.model.tasks.items() if dedup_key and t.dedup_key == dedup_key and not t.finished]
        assert is_new == (not rivals) and (is_new or [task.task_id] == rivals)
        if is_new:
            self.model.tasks[task.task_id] = Known(dedup_key=dedup_key)
        return task.task_id

    @rule(targets=(keys,), system=SYSTEMS, count=st.integers(0, 3))
    def claim(self, system: str, count: int) -> Any:
        request_id = f"r{len(self.model.requests)}"
        claimed = self.do(self.store.claim(ClaimRequest(request_id, system, system, count, LEASE_S)))
        self.model.last_contact[system] = self.clock.now()
        assert len(claimed) <= count
        for task in claimed:
            assert self.model.tasks[task.task_id].status is TaskStatus.QUEUED
            assert task.fence == self.model.tasks[task.task_id].fence + 1
            self.model.claims[task.key] += 1
            self.learn(task)
        self.model.requests[request_id] = {task.key for task in claimed}
        self.learn_holds()
        return multiple(*(task.key for task in claimed))

    @rule(system=SYSTEMS, data=st.data())
    def repeat_a_claim(self, system: str, data: st.DataObject) -> None:
        answered = [request_id for request_id, keys in self.model.requests.items() if keys]
        if not answered:
            return
        request_id = data.draw(st.sampled_from(answered))
        owners = {self.model.tasks[key.task_id].owner for key in self.model.requests[request_id]}
        again = self.do(self.store.claim(ClaimRequest(request_id, owners.pop(), "boot2", 3, LEASE_S)))
        for task in again:
            assert task.key in self.model.requests[request_id], "a repeated claim took something new"
            assert self.model.current(task.key) is not None
            self.learn(task)

    @rule(key=keys, run=st.sampled_from(["run1", "run2"]))
    def begin(self, key: LeaseKey, run: str) -> None:
        self.fenced(key, self.store.begin(key, run))

    @rule(key=keys, status=st.sampled_from([TaskStatus.RUNNING, TaskStatus.WAITING]))
    def mark(self, key: LeaseKey, status: TaskStatus) -> None:
        known = self.model.current(key)
        if known is not None and known.status is TaskStatus.CLAIMED and status is TaskStatus.WAITING:
            with pytest.raises(WrongStatus):
                self.do(self.store.mark(key, status))
        else:
            self.fenced(key, self.store.mark(key, status))

    @rule(key=keys, system=SYSTEMS)
    def renew(self, key: LeaseKey, system: str) -> None:
        known = self.model.current(key)
        lease = self.do(self.store.get(key.task_id)).lease
        boot = lease.boot_id if lease else system
        answer = self.do(self.store.renew(system, boot, [key], LEASE_S))[key.task_id]
        self.model.last_contact[system] = self.clock.now()
        self.expect_lease(answer, known, system)

    @rule(key=keys, system=SYSTEMS, boot=st.sampled_from(["boot1", "boot2"]))
    def adopt(self, key: LeaseKey, system: str, boot: str) -> None:
        known = self.model.current(key)
        answer = self.do(self.store.adopt(key, system, boot, LEASE_S))
        self.model.last_contact[system] = self.clock.now()
        self.expect_lease(answer, known, system)

    @rule(key=keys, outcome=st.sampled_from(list(Outcome)))
    def finish(self, key: LeaseKey, outcome: Outcome) -> None:
        known = self.model.current(key)
        answer = self.do(self.store.finish(key, TaskResult(outcome, run_id=f"fence {key.fence}")))
        if key in self.model.recorded:
            assert answer is FinishAnswer.ALREADY
        elif known is None:
            assert answer is FinishAnswer.FENCED
            assert key.fence in [fence for fence, _ in self.do(self.store.late_results(key.task_id))]
        else:
            assert answer is FinishAnswer.RECORDED
            cancelled = known.cancelling and outcome is not Outcome.SUCCEEDED
            known.status = TaskStatus.CANCELLED if cancelled else TaskStatus(outcome)
            known.outcomes += 1
            self.model.recorded.add(key)

    @rule(key=keys, kind=st.sampled_from(list(ReleaseKind)), hold=st.sampled_from([None, None, BUDGET]))
    def release(self, key: LeaseKey, kind: ReleaseKind, hold: Hold | None) -> None:
        known = self.model.current(key)
        self.fenced(key, self.store.release(key, Release(kind, "given back", hold=hold)))
        if known is not None:
            expected = TaskStatus.HELD if hold else TaskStatus.QUEUED
            assert known.status is (TaskStatus.CANCELLED if known.cancelling else expected)

    @rule(task_id=tasks)
    def cancel(self, task_id: str) -> None:
        known = self.model.tasks[task_id]
        if known.finished:
            with pytest.raises(WrongStatus):
                self.do(self.store.cancel(task_id))
            return
        leased = known.status.leased
        task = self.do(self.store.cancel(task_id))
        known.cancelling = True
        assert leased or task.status is TaskStatus.CANCELLED
        self.learn(task)

    @rule(task_id=tasks)
    def retry(self, task_id: str) -> None:
        known = self.model.tasks[task_id]
        rivals = [
            t for t in self.model.tasks.values() if t is not known and t.dedup_key == known.dedup_key and not t.finished
        ]
        retriable = known.status in (TaskStatus.FAILED, TaskStatus.CANCELLED, TaskStatus.HELD)
        if not retriable or (known.dedup_key and rivals):
            with pytest.raises(WrongStatus):
                self.do(self.store.retry(task_id))
            return
        task = self.do(self.store.retry(task_id))
        assert (task.status, task.attempt, task.fence) == (TaskStatus.QUEUED, 0, known.fence)
        known.cancelling, known.outcomes = False, 0
        self.learn(task)

    @rule(task_id=tasks)
    def unhold(self, task_id: str) -> None:
        if self.model.tasks[task_id].status is not TaskStatus.HELD:
            with pytest.raises(WrongStatus):
                self.do(self.store.unhold(task_id))
            return
        self.learn(self.do(self.store.unhold(task_id)))

    @rule(system=SYSTEMS)
    def rescue(self, system: str) -> None:
        before = {task_id: (known.status, known.fence) for task_id, known in self.model.tasks.items()}
        changed = self.do(self.store.rescue(system, GRACE_S))
        self.model.last_contact[system] = self.clock.now()
        for task in changed:
            status, fence = before[task.task_id]
            known = self.model.tasks[task.task_id]
            if status.leased:
                assert known.expires_at is not None and known.expires_at <= self.clock.now()
            if task.fence != fence:
                assert status is TaskStatus.ORPHANED and task.fence == fence + 1
                self.expect_lost(known, system)
            self.learn(task)
        for known in self.model.tasks.values():
            if known.status in (TaskStatus.CLAIMED, TaskStatus.RUNNING, TaskStatus.WAITING):
                assert known.expires_at is not None and known.expires_at > self.clock.now(), "expired, not orphaned"

    @rule(seconds=st.sampled_from([1, 29, 60, 110, 300]))
    def time_passes(self, seconds: int) -> None:
        self.clock.advance(seconds)

    @invariant()
    def the_store_says_what_the_model_says(self) -> None:
        stored = {task.task_id: task for task in self.do(self.store.list(TaskQuery(limit=1000)))}
        assert stored.keys() == self.model.tasks.keys()
        for task_id, known in self.model.tasks.items():
            assert (stored[task_id].status, stored[task_id].fence) == (known.status, known.fence)

    @invariant()
    def a_fence_is_given_once_and_a_task_ends_once(self) -> None:
        assert all(count == 1 for count in self.model.claims.values())
        assert all(known.outcomes <= 1 for known in self.model.tasks.values())

    @invariant()
    def nothing_is_stuck(self) -> None:
        """Every task that has not ended has an owner, a place in the queue, or a reason to be held."""
        for task in self.do(self.store.list(TaskQuery(limit=1000))):
            assert task.status.leased == (task.lease is not None)
            assert (task.status is TaskStatus.HELD) == (task.hold is not None and bool(task.hold.detail))
            assert task.result is None or task.status.terminal
            assert 0 <= task.attempt <= task.fence

    def fenced(self, key: LeaseKey, operation: Coroutine[Any, Any, Task]) -> None:
        """Does what only the current claim may do."""
        if self.model.current(key) is None:
            with pytest.raises(Fenced):
                self.do(operation)
        else:
            self.learn(self.do(operation))

    def expect_lease(self, answer: LeaseAnswer, known: Known | None, system: str) -> None:
        if known is None or known.owner != system:
            assert answer is LeaseAnswer.FENCED
            return
        assert answer is (LeaseAnswer.CANCEL if known.cancelling else LeaseAnswer.OK)
        known.expires_at = self.clock.now() + timedelta(seconds=LEASE_S)
        if known.status is TaskStatus.ORPHANED:
            known.status = TaskStatus.RUNNING

    def expect_lost(self, known: Known, rescuer: str) -> None:
        assert known.expires_at is not None
        silent_since = known.expires_at if known.owner == rescuer else self.model.last_contact[known.owner]
        silence = self.clock.now() - silent_since
        assert silence >= timedelta(seconds=GRACE_S) - HEARTBEAT_PRECISION, "taken over too early"

    def learn(self, task: Task) -> None:
        known = self.model.tasks[task.task_id]
        assert task.status is known.status or task.status in TRANSITIONS[known.status]
        known.status, known.fence = task.status, task.fence
        if task.lease is not None:
            known.owner, known.expires_at = task.lease.system_id, task.lease.expires_at

    def learn_holds(self) -> None:
        """A claim may find that a task waits in vain."""
        for task in self.do(self.store.list(TaskQuery(statuses=frozenset({TaskStatus.HELD}), limit=1000))):
            if self.model.tasks[task.task_id].status is TaskStatus.QUEUED:
                assert task.hold is not None and task.hold.reason is HoldReason.DEPENDENCY
                self.learn(task)


class SqliteTaskStoreMachine(TaskStoreMachine):
    async def make_store(self) -> TaskStore:
        self.directory = Path(tempfile.mkdtemp(prefix="ccm-model-"))
        self.database = Database(self.directory / "ccm.db")
        await self.database.open()
        return SqliteTaskStore(self.database, self.clock, queue_limit=1000)

    def teardown(self) -> None:
        self.do(self.database.close())
        super().teardown()
        shutil.rmtree(self.directory)


class SupabaseTaskStoreMachine(TaskStoreMachine):
    stack: LocalSupabase

    def __init__(self) -> None:
        self.exits = AsyncExitStack()
        super().__init__()

    async def make_store(self) -> TaskStore:
        self.stack.reset()
        self.clock = DatabaseClock(self.stack)
        return SharedProjects(await connected(self.exits, self.stack), 1000)

    def teardown(self) -> None:
        self.do(self.exits.aclose())
        super().teardown()


TestMemory = TaskStoreMachine.TestCase
TestMemory.settings = settings(max_examples=60, stateful_step_count=50, deadline=None)
TestSqlite = SqliteTaskStoreMachine.TestCase
TestSqlite.settings = settings(
    max_examples=20, stateful_step_count=40, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)


class TestSupabase(SupabaseTaskStoreMachine.TestCase):  # type: ignore[valid-type, misc]  # hypothesis makes it
    settings = settings(
        max_examples=10, stateful_step_count=30, deadline=None, suppress_health_check=[HealthCheck.too_slow]
    )

    @pytest.fixture(autouse=True)
    def _stack(self, supabase_stack: LocalSupabase) -> None:
        SupabaseTaskStoreMachine.stack = supabase_stack
