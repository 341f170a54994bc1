"""Writes that wait together are committed together, and each is still whole or not at all."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from ccm_orchestrator.adapters.sqlite.database import Database
from ccm_orchestrator.errors import InputError, StoreError

Work = Callable[[sqlite3.Connection], object]
COUNT = 20


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    database = Database(tmp_path / "ccm.db")
    await database.open()
    await database.write(lambda c: c.execute("CREATE TABLE noted (number INTEGER PRIMARY KEY)"))
    yield database
    await database.close()


def note(number: int) -> Work:
    return lambda connection: connection.execute("INSERT INTO noted VALUES (?)", (number,)).lastrowid


def fail(number: int, error: Exception) -> Work:
    def work(connection: sqlite3.Connection) -> None:
        note(number)(connection)
        raise error

    return work


class Held:
    """Keeps the writing thread busy, so that what is written meanwhile waits together."""

    def __init__(self, database: Database) -> None:
        self._go, self._database = threading.Event(), database

    async def __aenter__(self) -> list[asyncio.Task[object]]:
        begun = threading.Event()

        def hold(_connection: sqlite3.Connection) -> None:
            begun.set()
            self._go.wait(30)

        self._holding = asyncio.create_task(self._database.write(hold))
        await asyncio.to_thread(begun.wait, 30)
        self.waiting: list[asyncio.Task[object]] = []
        return self.waiting

    async def __aexit__(self, *_: object) -> None:
        await asyncio.sleep(0)
        self._go.set()
        await self._holding


def commits(database: Database) -> list[str]:
    """What the writing connection is told from now on, as far as it ends transactions."""
    ends: list[str] = []
    assert database._writer is not None
    database._writer.set_trace_callback(lambda said: ends.append(said) if said in ("COMMIT", "ROLLBACK") else None)
    return ends


async def numbers(database: Database) -> list[int]:
    return await database.read(lambda c: [row[0] for row in c.execute("SELECT number FROM noted ORDER BY number")])


async def test_writes_that_wait_take_one_commit_and_each_gets_its_own_result(database: Database) -> None:
    async with Held(database) as waiting:
        ends = commits(database)
        waiting += [asyncio.create_task(database.write(note(number))) for number in range(1, COUNT + 1)]
    assert await asyncio.gather(*waiting) == list(range(1, COUNT + 1))
    assert ends == ["COMMIT", "COMMIT"], "one of the write that held, one of all others"
    assert await numbers(database) == list(range(1, COUNT + 1))


async def test_a_write_that_raises_among_others_is_undone_alone(database: Database) -> None:
    async with Held(database) as waiting:
        works = [note(1), fail(2, InputError("no")), note(3), note(1), note(4)]
        waiting += [asyncio.create_task(database.write(work)) for work in works]
    first, raised, third, duplicate, fourth = await asyncio.gather(*waiting, return_exceptions=True)
    assert (first, third, fourth) == (1, 3, 4)
    assert isinstance(raised, InputError) and isinstance(duplicate, StoreError)
    assert await numbers(database) == [1, 3, 4]


async def test_when_all_is_undone_everybody_hears_of_it(database: Database) -> None:
    def undo(connection: sqlite3.Connection) -> None:
        """As SQLite itself does when the disk is full."""
        connection.execute("ROLLBACK")
        raise sqlite3.OperationalError("database or disk is full")

    async with Held(database) as waiting:
        waiting += [asyncio.create_task(database.write(work)) for work in (note(1), undo, note(3))]
    told = await asyncio.gather(*waiting, return_exceptions=True)
    assert all(isinstance(each, StoreError) for each in told) and await numbers(database) == []
    await database.write(note(5))
    assert await numbers(database) == [5], "it works again"


async def test_who_is_cancelled_while_it_waits_writes_nothing(database: Database) -> None:
    async with Held(database) as waiting:
        waiting += [asyncio.create_task(database.write(note(number))) for number in (1, 2, 3)]
        await asyncio.sleep(0)
        waiting[1].cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    assert await numbers(database) == [1, 3]


async def test_more_writes_than_one_commit_takes_all_come_to_an_end(database: Database) -> None:
    async with Held(database) as waiting:
        waiting += [asyncio.create_task(database.write(note(number))) for number in range(1, 201)]
    assert len(await asyncio.gather(*waiting)) == 200 == len(await numbers(database))
