"""What it means to take a task in: all that belongs to it is stored, or nothing is."""

import sqlite3
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ccm_orchestrator.adapters.sqlite.audit import SqliteAuditLog
from ccm_orchestrator.adapters.sqlite.database import Database
from ccm_orchestrator.adapters.sqlite.events import SqliteEventStore
from ccm_orchestrator.adapters.sqlite.tasks import SqliteTaskStore
from ccm_orchestrator.domain.audit import AuditEntry, entry_of
from ccm_orchestrator.domain.caller import Caller, CallerKind
from ccm_orchestrator.domain.events import BusEvent, EventKind
from ccm_orchestrator.domain.task import NewTask, Task
from ccm_orchestrator.errors import QueueFull, StoreError, UnknownProject
from ccm_orchestrator.fakes.clock import FakeClock
from ccm_orchestrator.fakes.memory_acceptance import MemoryAcceptance
from ccm_orchestrator.fakes.memory_audit import MemoryAuditLog
from ccm_orchestrator.fakes.memory_journal import MemoryEventStore
from ccm_orchestrator.fakes.memory_tasks import MemoryTaskStore
from ccm_orchestrator.ports.acceptance import Acceptance
from ccm_orchestrator.ports.audit import AuditLog, AuditQuery
from ccm_orchestrator.ports.beside import Beside
from ccm_orchestrator.ports.journal import EventStore
from ccm_orchestrator.ports.tasks import Project, TaskQuery, TaskStore

AT = datetime(2026, 11, 25, 12, tzinfo=UTC)
NEW = NewTask("sample", "Mend it.", profile="", dedup_key="once")


@dataclass
class Desk:
    acceptance: Acceptance
    tasks: TaskStore
    events: EventStore
    audit: AuditLog

    async def kept(self) -> tuple[int, int, int]:
        """How many tasks, events and entries there are."""
        listed = await self.tasks.list(TaskQuery())
        return len(listed), len(await self.events.read(0)), len(await self.audit.read(AuditQuery()))


@pytest.fixture(params=["memory", "sqlite"])
async def desk(request: pytest.FixtureRequest, database: Database) -> Desk:
    if request.param == "memory":
        tasks, events, audit = MemoryTaskStore(FakeClock(), 2), MemoryEventStore(), MemoryAuditLog()
        made = Desk(MemoryAcceptance(tasks, events, audit), tasks, events, audit)
    else:
        made = stored(database)
    await made.tasks.add_project(Project("sample", Path("/srv/sample"), "reviewer"))
    await made.tasks.add_project(Project("plain", Path("/srv/plain")))
    return made


def stored(database: Database) -> Desk:
    tasks = SqliteTaskStore(database, FakeClock(), 2)
    return Desk(tasks, tasks, SqliteEventStore(database), SqliteAuditLog(database))


def entry(task: Task) -> AuditEntry:
    return entry_of(Caller(CallerKind.LOCAL, "local"), AT, "POST /api/tasks", f"/api/tasks/{task.task_id}", 201)


def beside(task: Task) -> Beside:
    return Beside((BusEvent(EventKind.TASK_CREATED, AT, task.task_id),), entry(task))


async def test_a_new_task_is_stored_with_what_stands_beside_it(desk: Desk) -> None:
    accepted = await desk.acceptance.accept(NEW, beside)
    assert (accepted.is_new, accepted.audited) == (True, True)
    assert await desk.tasks.get(accepted.task.task_id) == accepted.task
    assert [one.event for one in await desk.events.read(0)] == list(beside(accepted.task).events)
    assert [one.entry for one in await desk.audit.read(AuditQuery())] == [entry(accepted.task)]


async def test_nothing_more_is_told_of_a_task_that_is_there_already(desk: Desk) -> None:
    first = await desk.acceptance.accept(NEW, beside)
    again = await desk.acceptance.accept(NEW, beside)
    assert (again.task, again.is_new, again.audited) == (first.task, False, False)
    assert await desk.kept() == (1, 1, 1)


async def test_without_an_entry_none_is_stored(desk: Desk) -> None:
    accepted = await desk.acceptance.accept(NEW, lambda _task: Beside())
    assert (accepted.is_new, accepted.audited) == (True, False)
    assert await desk.kept() == (1, 0, 0)


async def test_an_empty_profile_is_the_projects_else_executor(desk: Desk) -> None:
    named = await desk.acceptance.accept(NEW, beside)
    plain = await desk.acceptance.accept(replace(NEW, project="plain", dedup_key=None), beside)
    assert (named.task.profile, plain.task.profile) == ("reviewer", "executor")


async def test_what_is_refused_leaves_nothing(desk: Desk) -> None:
    with pytest.raises(UnknownProject):
        await desk.acceptance.accept(replace(NEW, project="nowhere"), beside)
    for key in ("one", "two"):
        await desk.acceptance.accept(replace(NEW, dedup_key=key), beside)
    with pytest.raises(QueueFull):
        await desk.acceptance.accept(replace(NEW, dedup_key="three"), beside)
    assert await desk.kept() == (2, 2, 2)


async def test_all_of_it_takes_one_commit(database: Database) -> None:
    desk = stored(database)
    await desk.tasks.add_project(Project("sample", Path("/srv/sample")))
    said: list[str] = []
    assert database._writer is not None
    database._writer.set_trace_callback(said.append)
    await desk.acceptance.accept(NEW, beside)
    assert said.count("COMMIT") == 1 and await desk.kept() == (1, 1, 1)


async def test_a_task_whose_event_cannot_be_stored_is_not_accepted(database: Database) -> None:
    desk = stored(database)
    await desk.tasks.add_project(Project("sample", Path("/srv/sample")))
    await database.write(lambda c: break_table(c, "events"))
    with pytest.raises(StoreError):
        await desk.acceptance.accept(NEW, beside)
    assert await desk.kept() == (0, 0, 0)


async def test_an_audit_log_that_cannot_be_written_keeps_no_task_out(database: Database) -> None:
    desk = stored(database)
    await desk.tasks.add_project(Project("sample", Path("/srv/sample")))
    await database.write(lambda c: break_table(c, "audit_log"))
    accepted = await desk.acceptance.accept(NEW, beside)
    assert (accepted.is_new, accepted.audited) == (True, False)
    assert await desk.kept() == (1, 1, 0)


def break_table(connection: sqlite3.Connection, table: str) -> None:
    refuse = f"CREATE TRIGGER broken BEFORE INSERT ON {table} BEGIN SELECT RAISE(ABORT, 'broken'); END"
    connection.execute(refuse)
