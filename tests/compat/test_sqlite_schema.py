"""Database files of every schema that was ever released still open, with all that is in them."""

import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ccm_orchestrator.adapters.sqlite.database import Database
from ccm_orchestrator.adapters.sqlite.events import SqliteEventStore
from ccm_orchestrator.adapters.sqlite.journal import SqliteJournal
from ccm_orchestrator.adapters.sqlite.migrations import shipped_migrations
from ccm_orchestrator.adapters.sqlite.tasks import SqliteTaskStore
from ccm_orchestrator.domain.agent import AgentState
from ccm_orchestrator.domain.result import Outcome
from ccm_orchestrator.domain.run import RunState
from ccm_orchestrator.domain.task import HoldReason, TaskStatus
from ccm_orchestrator.fakes.clock import FakeClock
from ccm_orchestrator.ports.journal import RunQuery
from ccm_orchestrator.ports.tasks import ClaimRequest, TaskQuery

DUMPS = sorted(Path(__file__).parent.glob("sqlite-schema-*.sql"))


def test_there_is_a_dump_of_every_schema() -> None:
    numbers = {dump.stem.rpartition("-")[2] for dump in DUMPS}
    assert numbers == {name.partition("_")[0] for name in shipped_migrations()}


@pytest.mark.parametrize("dump", DUMPS, ids=lambda dump: dump.stem)
async def test_a_migrated_file_has_the_same_schema_as_a_new_one(dump: Path, tmp_path: Path) -> None:
    old, new = tmp_path / "old.db", tmp_path / "new.db"
    with closing(sqlite3.connect(old)) as connection:
        connection.executescript(dump.read_text())
    assert await schema(old) == await schema(new)


@pytest.mark.parametrize("dump", DUMPS, ids=lambda dump: dump.stem)
async def test_a_file_of_an_older_release_opens_with_everything_in_it(dump: Path, tmp_path: Path) -> None:
    path = tmp_path / "ccm.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(dump.read_text())
    database, clock = Database(path), FakeClock(datetime(2026, 3, 1, tzinfo=UTC))
    report = await database.open()
    assert report.damage is None and not report.created

    store, journal, events = (
        SqliteTaskStore(database, clock),
        SqliteJournal(database, clock),
        SqliteEventStore(database),
    )
    tasks = {task.task_id: task for task in await store.list(TaskQuery())}
    assert {task_id: task.status for task_id, task in tasks.items()} == {
        "done-task": TaskStatus.SUCCEEDED,
        "held-task": TaskStatus.HELD,
        "running-task": TaskStatus.RUNNING,
        "queued-task": TaskStatus.QUEUED,
    }
    result, hold = tasks["done-task"].result, tasks["held-task"].hold
    assert result is not None and result.outcome is Outcome.SUCCEEDED and result.usage.cost_usd == 0.25
    assert hold is not None and hold.reason is HoldReason.BUDGET
    assert [fence for fence, _ in await store.late_results("held-task")] == [1]
    assert [task.task_id for task in await store.claim(ClaimRequest("r9", "box", "boot", 9, 60.0))] == ["queued-task"]

    (run,) = await journal.runs(RunQuery(open_only=True))
    assert (run.task_id, run.state) == ("running-task", RunState.RUNNING)
    assert (await journal.views([run.run_id]))[run.run_id].state is AgentState.WORKING
    assert [message.text for message in await journal.messages(run.run_id)] == ["Go on"]
    assert [request.tool_name for request in await journal.permissions(run.run_id)] == ["Bash"]
    assert await journal.begin_term("boot") == 2
    assert [stored.seq for stored in await events.read(0)] == [1, 2]
    assert [record.raw for record in await events.hook_records(run.run_id)] == [b'{"hook_event_name":"Stop"}\x00']
    await database.close()


async def schema(path: Path) -> dict[str, str]:
    """Of the file once it is migrated: the SQL of each table, index and trigger, by name."""
    database = Database(path)
    await database.open()
    statement = "SELECT name, sql FROM sqlite_schema WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%'"
    found = await database.read(lambda c: {row["name"]: row["sql"] for row in c.execute(statement)})
    await database.close()
    return found
