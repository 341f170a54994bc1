"""The number of queued tasks is kept beside them, right whoever writes the rows."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from ccm_orchestrator.adapters.sqlite.tasks import SqliteTaskStore
from ccm_orchestrator.domain.task import NewTask
from ccm_orchestrator.errors import QueueFull
from ccm_orchestrator.fakes.clock import FakeClock
from ccm_orchestrator.ports.tasks import ClaimRequest, Project, Release, ReleaseKind
from tests.stores import LEASE_S, SUCCEEDED
from tests.unit.sqlite.files import Opener

LIMIT = 4


def by_hand(path: Path, statement: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute(statement)


def kept_and_counted(path: Path) -> tuple[int, int]:
    with closing(sqlite3.connect(path)) as connection:
        (kept,) = connection.execute("SELECT queued FROM queue_length").fetchone()
        (counted,) = connection.execute("SELECT count(*) FROM tasks WHERE status = 'queued'").fetchone()
    return kept, counted


@pytest.fixture
async def store(path: Path, open_database: Opener) -> SqliteTaskStore:
    store = SqliteTaskStore(await open_database(), FakeClock(), queue_limit=LIMIT)
    await store.add_project(Project("demo", path.parent))
    return store


async def test_it_follows_a_task_through_its_life(path: Path, store: SqliteTaskStore) -> None:
    lengths = list[int]()

    def look() -> None:
        kept, counted = kept_and_counted(path)
        assert kept == counted
        lengths.append(kept)

    for prompt in ("One", "Two", "Three"):
        await store.enqueue(NewTask("demo", prompt))
    look()
    one, two = await store.claim(ClaimRequest("r1", "here", "boot", 2, LEASE_S))
    look()
    await store.release(one.key, Release(ReleaseKind.VOLUNTARY, "Later."))
    look()
    await store.begin(two.key, "run")
    await store.finish(two.key, SUCCEEDED)
    await store.cancel(one.task_id)
    look()
    await store.retry(one.task_id)
    look()
    by_hand(path, "INSERT INTO tasks (project, prompt) VALUES ('demo', 'By hand')")
    look()
    by_hand(path, "DELETE FROM tasks WHERE prompt IN ('By hand', 'Three')")
    look()
    assert lengths == [3, 1, 2, 1, 2, 3, 1]


async def test_a_row_that_was_replaced_by_hand_takes_no_room(path: Path, store: SqliteTaskStore) -> None:
    await store.enqueue(NewTask("demo", "Mend it"))
    for _ in range(LIMIT):
        by_hand(path, "INSERT OR REPLACE INTO tasks (task_id, project, prompt) VALUES ('mine', 'demo', 'Mine')")
    assert kept_and_counted(path) == (1 + LIMIT, 2)
    for prompt in ("Three", "Four"):
        await store.enqueue(NewTask("demo", prompt))
    with pytest.raises(QueueFull, match=f"{LIMIT}"):
        await store.enqueue(NewTask("demo", "Five"))
    assert kept_and_counted(path) == (LIMIT, LIMIT)
