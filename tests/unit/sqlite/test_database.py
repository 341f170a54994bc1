"""The file under the stores: opened, migrated, shared."""

import asyncio
import re
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from ccm_orchestrator.adapters.sqlite.connections import WRITER_TIMEOUT_MS
from ccm_orchestrator.adapters.sqlite.database import Database
from ccm_orchestrator.adapters.sqlite.migrations import shipped_migrations
from ccm_orchestrator.errors import SchemaTooNew, StoreUnavailable
from ccm_orchestrator.settings import Settings
from tests.unit.sqlite.files import Opener, add_task, count_tasks, integrity


class TestOpening:
    async def test_a_new_file_gets_every_migration_and_is_private(self, path: Path) -> None:
        database = Database(path)
        report = await database.open()
        assert (report.created, report.damage) == (True, None)
        assert report.migrations == tuple(shipped_migrations())
        await database.write(add_task)
        modes = {entry.name: entry.stat().st_mode & 0o777 for entry in path.parent.iterdir()}
        assert set(modes.values()) == {0o600} and {"ccm.db", "ccm.db-wal"} <= modes.keys()
        assert path.parent.stat().st_mode & 0o777 == 0o700
        await database.close()

    async def test_opening_again_migrates_nothing_and_keeps_everything(self, open_database: Opener) -> None:
        first = await open_database()
        await first.write(add_task)
        assert await first.open() == await first.open()
        await first.close()
        await first.close()
        again = await open_database()
        report = await again.open()
        assert (report.created, report.migrations) == (False, ())
        assert await again.read(count_tasks) == 1

    async def test_the_writer_is_durable_and_closing_leaves_one_file(self, path: Path, open_database: Opener) -> None:
        database = await open_database()

        def pragmas(connection: sqlite3.Connection) -> list[object]:
            names = ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
            return [connection.execute(f"PRAGMA {name}").fetchone()[0] for name in names]

        assert await database.write(pragmas) == ["wal", 2, 1, WRITER_TIMEOUT_MS]
        await database.close()
        assert [entry.name for entry in path.parent.iterdir()] == ["ccm.db"]

    def test_no_loop_seems_to_hang_for_a_write_that_waits_for_another(self) -> None:
        watchdog_s = float(Settings.model_fields["watchdog_s"].default)
        assert watchdog_s / 2 > 2 * WRITER_TIMEOUT_MS / 1000

    async def test_readers_cannot_write(self, open_database: Opener) -> None:
        database = await open_database()
        with pytest.raises(StoreUnavailable, match="cannot be written"):
            await database.read(add_task)

    async def test_a_newer_schema_is_refused_by_name(self, open_database: Opener) -> None:
        database = await open_database()
        await database.write(
            lambda c: c.execute("INSERT INTO schema_migrations (name) VALUES ('0999_future')") and None
        )
        await database.close()
        with pytest.raises(SchemaTooNew, match=r"0999_future.*upgrade") as refusal:
            await open_database()
        assert refusal.value.__dict__["migration"] == "0999_future" and "can read" not in refusal.value.message

    async def test_the_newest_backup_of_before_is_named_to_whom_a_newer_schema_stops(
        self, path: Path, open_database: Opener
    ) -> None:
        database = await open_database()
        before = [await database.backup() for _ in range(2)]
        await database.write(
            lambda c: c.execute("INSERT INTO schema_migrations (name) VALUES ('0999_future')") and None
        )
        await database.backup()
        await database.close()
        with pytest.raises(SchemaTooNew, match=rf"{re.escape(str(before[-1]))}\."):
            await open_database()

    async def test_a_migration_that_fails_leaves_nothing_behind(self, path: Path, open_database: Opener) -> None:
        path.parent.mkdir()
        with closing(sqlite3.connect(path)) as foreign:
            foreign.execute("CREATE TABLE outcomes (x)")
        with pytest.raises(Exception, match="outcomes already exists"):
            await open_database()
        with closing(sqlite3.connect(path)) as foreign:
            assert [row[0] for row in foreign.execute("SELECT name FROM sqlite_schema")] == ["outcomes"]

    async def test_an_old_file_is_backed_up_before_it_is_migrated(
        self, path: Path, open_database: Opener, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        database = await open_database()
        await database.write(add_task)
        await database.close()
        later = Database(path)
        later._known = {**shipped_migrations(), "0999_later": "ALTER TABLE tasks ADD COLUMN mood TEXT;"}
        report = await later.open()
        await later.close()
        assert report.migrations == ("0999_later",)
        (backup,) = (path.parent / "backups").iterdir()
        with closing(sqlite3.connect(backup)) as copy:
            assert count_tasks(copy) == 1
            assert "mood" not in {row[1] for row in copy.execute("PRAGMA table_info(tasks)")}

    async def test_a_closed_database_says_so(self, open_database: Opener) -> None:
        database = await open_database()
        await database.close()
        with pytest.raises(StoreUnavailable, match="is closed"):
            await database.read(count_tasks)

    async def test_a_database_that_was_not_opened_says_so(self, path: Path) -> None:
        database = Database(path)
        with pytest.raises(StoreUnavailable, match="is not open"):
            await database.write(add_task)
        await database.close()


class TestTransactions:
    async def test_a_write_that_raises_is_undone(self, open_database: Opener) -> None:
        database = await open_database()

        def half(connection: sqlite3.Connection) -> None:
            add_task(connection)
            raise LookupError("half way")

        with pytest.raises(LookupError):
            await database.write(half)
        assert await database.read(count_tasks) == 0
        await database.write(add_task)
        assert await database.read(count_tasks) == 1

    async def test_any_event_loop_may_use_it(self, open_database: Opener) -> None:
        database = await open_database()

        async def from_here() -> int:
            await database.write(add_task)
            return await database.read(count_tasks)

        counts = await asyncio.gather(*(asyncio.to_thread(asyncio.run, from_here()) for _ in range(4)))
        assert sorted(counts)[-1] == await database.read(count_tasks) == 4

    async def test_two_databases_on_one_file_lose_nothing(self, open_database: Opener) -> None:
        one, two = await open_database(), await open_database()
        await asyncio.gather(*(database.write(add_task) for database in (one, two) for _ in range(50)))
        assert await one.read(count_tasks) == await two.read(count_tasks) == 100

    async def test_a_killed_writer_leaves_whole_transactions(self, path: Path, open_database: Opener) -> None:
        database = await open_database()
        script = (
            "import sqlite3, sys\n"
            "c = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=30)\n"
            "while True:\n"
            "    c.execute('BEGIN IMMEDIATE')\n"
            "    for _ in range(10): c.execute(\"INSERT INTO tasks (project, prompt) VALUES ('demo', 'x')\")\n"
            "    c.execute('COMMIT'); print('x', flush=True)\n"
        )
        writer = await asyncio.create_subprocess_exec(sys.executable, "-c", script, path, stdout=subprocess.PIPE)
        assert writer.stdout is not None and await writer.stdout.readline()
        writer.kill()
        await writer.communicate()
        count = await database.read(count_tasks)
        assert count > 0 and count % 10 == 0
        await database.write(add_task)
        assert await database.read(integrity) == "ok"
