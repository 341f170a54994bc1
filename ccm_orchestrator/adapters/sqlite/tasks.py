"""The queue in SQLite: each operation is one transaction."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TypeVar

from ccm_orchestrator.adapters.doorbell import Doorbell
from ccm_orchestrator.adapters.sqlite import (
    accepting,
    claiming,
    enqueueing,
    outcomes,
    projects,
    renewing,
    rescuing,
    systems,
    table,
)
from ccm_orchestrator.adapters.sqlite.database import Database, Work
from ccm_orchestrator.adapters.sqlite.listing import count_tasks, list_tasks
from ccm_orchestrator.adapters.sqlite.log_writes import log_writes
from ccm_orchestrator.domain import leasing, refusals
from ccm_orchestrator.domain.result import TaskResult
from ccm_orchestrator.domain.task import LeaseKey, NewTask, Task, TaskStatus, problem_with
from ccm_orchestrator.errors import InvalidProject, InvalidTask
from ccm_orchestrator.ports.acceptance import Accepted
from ccm_orchestrator.ports.beside import Beside
from ccm_orchestrator.ports.systems import SystemInfo, SystemView
from ccm_orchestrator.ports.tasks import (
    ClaimRequest,
    FinishAnswer,
    LeaseAnswer,
    Project,
    Release,
    TaskQuery,
    problem_with_project,
)
from ccm_orchestrator.ports.world import Clock

CHANGE_POLL_S = 0.2
"""How often rows that another process wrote are looked for where the kernel does not tell of them."""
TOLD_POLL_S = 2.0
"""The same where it does."""

T = TypeVar("T")


class SqliteTaskStore:
    def __init__(self, database: Database, clock: Clock, queue_limit: int = 100) -> None:
        self._database = database
        self._clock = clock
        self._queue_limit = queue_limit
        self._changed = Doorbell()
        self._changes_seen = 0

    async def enqueue(self, new: NewTask) -> tuple[Task, bool]:
        _check(new)
        return await self._write(lambda c: enqueueing.enqueue(c, new, self._queue_limit, self._clock.now()))

    async def accept(self, new: NewTask, beside: Callable[[Task], Beside]) -> Accepted:
        _check(new)
        return await self._write(lambda c: accepting.accept(c, new, beside, self._queue_limit, self._clock.now()))

    async def get(self, task_id: str) -> Task:
        return await self._database.read(lambda c: table.get(c, task_id))

    async def list(self, query: TaskQuery) -> Sequence[Task]:
        return await self._database.read(lambda c: list_tasks(c, query))

    async def counts(self, owner: str | None = None) -> Mapping[TaskStatus, int]:
        return await self._database.read(lambda c: count_tasks(c, owner))

    async def claim(self, request: ClaimRequest) -> Sequence[Task]:
        def work(connection: sqlite3.Connection) -> tuple[int, Sequence[Task]]:
            return _changes(connection), claiming.claim(connection, request, self._clock.now())

        self._changes_seen, claimed = await self._database.write(work)
        return claimed

    async def renew(
        self, system_id: str, boot_id: str, keys: Sequence[LeaseKey], lease_s: float
    ) -> Mapping[str, LeaseAnswer]:
        return await self._database.write(
            lambda c: renewing.renew(c, system_id, boot_id, keys, lease_s, self._clock.now())
        )

    async def begin(self, key: LeaseKey, run_id: str) -> Task:
        return await self._change_fenced(key, lambda task: leasing.begun(task, run_id, self._clock.now()))

    async def mark(self, key: LeaseKey, status: TaskStatus) -> Task:
        return await self._change_fenced(key, lambda task: leasing.marked(task, status, self._clock.now()))

    async def finish(self, key: LeaseKey, result: TaskResult) -> FinishAnswer:
        return await self._write(lambda c: outcomes.finish(c, key, result, self._clock.now()))

    async def release(self, key: LeaseKey, release: Release) -> Task:
        return await self._change_fenced(key, lambda task: leasing.released(task, release, self._clock.now()))

    async def cancel(self, task_id: str) -> Task:
        return await self._change(task_id, lambda task: leasing.cancel_asked(task, self._clock.now()))

    async def retry(self, task_id: str) -> Task:
        def work(connection: sqlite3.Connection) -> Task:
            task = table.get(connection, task_id)
            queued = leasing.retried(task, self._clock.now())
            rival = enqueueing.live_with_key(connection, task.dedup_key) if task.dedup_key else None
            if rival is not None and rival.task_id != task.task_id:
                raise refusals.dedup_key_taken(task, rival.task_id)
            return table.update(connection, task, queued)

        return await self._write(work)

    async def unhold(self, task_id: str) -> Task:
        return await self._change(task_id, lambda task: leasing.unheld(task, self._clock.now()))

    async def rescue(self, system_id: str, takeover_grace_s: float) -> Sequence[Task]:
        return await self._write(lambda c: rescuing.rescue(c, system_id, takeover_grace_s, self._clock.now()))

    async def adopt(self, key: LeaseKey, system_id: str, boot_id: str, lease_s: float) -> LeaseAnswer:
        return await self._database.write(
            lambda c: renewing.adopt(c, key, system_id, boot_id, lease_s, self._clock.now())
        )

    async def late_results(self, task_id: str) -> Sequence[tuple[int, TaskResult]]:
        return await self._database.read(lambda c: outcomes.late_results(c, task_id))

    async def wait_for_change(self, timeout_s: float) -> bool:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout_s
        with self._changed.listening() as news, log_writes(self._database.path, news) as told:
            poll_s = TOLD_POLL_S if told else CHANGE_POLL_S
            while True:
                news.clear()  # before the look, so that nothing falls between the two
                changes = await self._database.read(_changes)
                if changes != self._changes_seen:
                    self._changes_seen = changes
                    return True
                left_s = deadline - loop.time()
                if left_s <= 0:
                    return False
                with suppress(TimeoutError):
                    await asyncio.wait_for(news.wait(), min(poll_s, left_s))

    async def add_project(self, project: Project) -> Project:
        problem = problem_with_project(project)
        if problem:
            raise InvalidProject(problem)
        stored = replace(project, created_at=self._clock.now())
        await self._write(lambda c: projects.save(c, stored))
        return stored

    async def remove_project(self, name: str) -> None:
        await self._database.write(lambda c: projects.remove(c, name))

    async def projects(self) -> Sequence[Project]:
        return await self._database.read(projects.read_all)

    async def register_system(self, info: SystemInfo, boot_id: str) -> None:
        await self._write(lambda c: systems.register(c, info, boot_id, self._clock.now()))

    async def systems(self) -> Sequence[SystemView]:
        return await self._database.read(lambda c: systems.views(c, self._clock.now()))

    async def drain(self, system_id: str, draining: bool = True) -> None:
        await self._write(lambda c: systems.drain(c, system_id, draining))

    async def _write(self, work: Work[T]) -> T:
        result = await self._database.write(work)
        self._changed.ring()
        return result

    async def _change(self, task_id: str, step: Callable[[Task], Task]) -> Task:
        def work(connection: sqlite3.Connection) -> Task:
            task = table.get(connection, task_id)
            return table.update(connection, task, step(task))

        return await self._write(work)

    async def _change_fenced(self, key: LeaseKey, step: Callable[[Task], Task]) -> Task:
        def work(connection: sqlite3.Connection) -> Task:
            task = table.get_fenced(connection, key)
            return table.update(connection, task, step(task))

        return await self._write(work)


def _check(new: NewTask) -> None:
    problem = problem_with(new)
    if problem:
        raise InvalidTask(problem)


def _changes(connection: sqlite3.Connection) -> int:
    (n,) = connection.execute("SELECT n FROM task_changes").fetchone()
    return int(n)
