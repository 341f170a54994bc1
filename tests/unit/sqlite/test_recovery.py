"""What becomes of a damaged file, of backups, and of a disk that is full."""

import asyncio
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from ccm_orchestrator.adapters.sqlite.database import Database
from ccm_orchestrator.adapters.sqlite.events import SqliteEventStore
from ccm_orchestrator.adapters.sqlite.journal import SqliteJournal
from ccm_orchestrator.domain.events import BusEvent, EventKind
from ccm_orchestrator.errors import StoreCorrupt, StoreUnavailable
from ccm_orchestrator.fakes.clock import START, FakeClock
from tests.unit.sqlite.files import Opener, add_many, add_task, count_tasks, integrity, overwrite_pages


class TestDamage:
    async def test_a_damaged_file_is_set_aside_and_the_newest_sound_backup_takes_its_place(
        self, path: Path, open_database: Opener
    ) -> None:
        database = await open_database()
        await database.write(add_task)
        sound = await database.backup()
        await database.write(add_task)
        broken = await database.backup()
        await database.close()
        broken.write_bytes(b"no database at all" * 1000)
        overwrite_pages(path)
        again = await open_database()
        report = await again.open()
        assert report.damage and report.restored_from == sound and not report.created
        assert report.set_aside is not None and report.set_aside.name.startswith("ccm.db.damaged-")
        assert await again.read(count_tasks) == 1

    async def test_what_waited_in_a_restored_backup_is_held_and_no_number_is_given_again(
        self, path: Path, open_database: Opener
    ) -> None:
        database = await open_database()
        await database.write(add_task)
        term = await SqliteJournal(database, FakeClock()).begin_term("boot")
        await SqliteEventStore(database).append([BusEvent(EventKind.DAEMON_STARTED, START)])
        await database.backup()
        await database.close()
        path.write_bytes(b"x" * 5000)
        again = await open_database()
        row = await again.read(lambda c: c.execute("SELECT status, hold_detail, fence FROM tasks").fetchone())
        assert row["status"] == "held" and "restored from the backup" in row["hold_detail"]
        assert row["fence"] > 20
        assert await SqliteJournal(again, FakeClock()).begin_term("boot") > term + 20
        assert await SqliteEventStore(again).last_seq() > 1000

    async def test_without_a_backup_an_empty_database_begins_and_the_file_is_kept(
        self, path: Path, open_database: Opener
    ) -> None:
        path.parent.mkdir()
        path.write_bytes(b"x" * 5000)
        report = await (await open_database()).open()
        assert report.created and report.restored_from is None and report.set_aside is not None
        assert report.set_aside.read_bytes() == b"x" * 5000

    async def test_a_file_cut_to_nothing_is_restored(self, path: Path, open_database: Opener) -> None:
        database = await open_database()
        await database.write(add_task)
        await database.backup()
        await database.close()
        path.write_bytes(b"")
        again = await open_database()
        assert (await again.open()).restored_from is not None
        assert await again.read(count_tasks) == 1

    async def test_damage_met_at_work_is_named(self, path: Path, open_database: Opener) -> None:
        database = await open_database()
        await database.write(add_many)
        await database.close()
        database = await open_database()
        overwrite_pages(path)
        with pytest.raises(StoreCorrupt, match="is damaged"):
            await database.read(lambda c: c.execute("SELECT * FROM tasks").fetchall())


class TestBackups:
    async def test_a_backup_is_one_sound_file_and_old_ones_go(self, path: Path, tmp_path: Path) -> None:
        database = Database(path, tmp_path / "copies", keep_backups=2)
        await database.open()
        made = []
        for _ in range(4):
            await database.write(add_task)
            made.append(await database.backup())
        await database.close()
        assert sorted((tmp_path / "copies").iterdir()) == made[2:]
        with closing(sqlite3.connect(made[3])) as copy:
            assert count_tasks(copy) == 4
        assert made[3].stat().st_mode & 0o777 == 0o600

    async def test_writing_goes_on_during_a_backup(self, open_database: Opener) -> None:
        database = await open_database()
        backups = asyncio.gather(*(database.backup() for _ in range(3)))
        while not backups.done():
            await database.write(add_task)
        await backups
        assert await database.read(count_tasks) > 0


class TestDisk:
    @pytest.fixture
    def small_disk(self, tmp_path: Path) -> Iterator[Path]:
        """A file system of 2 MB."""
        mount = shutil.which("mount")
        if os.geteuid() != 0 or mount is None or sys.platform != "linux":
            pytest.skip("mounting a small file system needs root on Linux")
        place = tmp_path / "small"
        place.mkdir()
        mounted = subprocess.run(
            [mount, "-t", "tmpfs", "-o", "size=2m", "tmpfs", place], capture_output=True, text=True
        )
        if mounted.returncode != 0:
            pytest.skip(f"mounting is not allowed here: {mounted.stderr.strip()}")
        yield place
        subprocess.run(["umount", "--lazy", place], check=True)

    async def test_a_full_disk_refuses_and_is_forgotten_when_space_is_freed(self, small_disk: Path) -> None:
        database = Database(small_disk / "ccm.db")
        await database.open()
        ballast = small_disk / "ballast"

        def add_large(connection: sqlite3.Connection) -> None:
            connection.execute("INSERT INTO tasks (project, prompt) VALUES ('demo', ?)", ("x" * 50_000,))

        ballast.write_bytes(b"x" * 500_000)
        stored = 0
        with pytest.raises(StoreUnavailable, match=r"disk is full|free space"):
            while stored < 100:
                await database.write(add_large)
                stored += 1
        assert await database.read(count_tasks) == stored
        ballast.unlink()
        await database.write(add_large)
        assert await database.read(count_tasks) == stored + 1
        assert await database.read(integrity) == "ok"
        await database.close()

    async def test_a_place_that_is_no_directory_is_named(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        database = Database(tmp_path / "file" / "ccm.db")
        with pytest.raises(StoreUnavailable, match=f"{tmp_path}/file/ccm.db cannot be used"):
            await database.open()
        await database.close()

    async def test_a_file_locked_by_another_process_is_unavailable(self, path: Path, open_database: Opener) -> None:
        database = await open_database()
        await database.write(lambda c: c.execute("PRAGMA busy_timeout = 1").fetchall())
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(StoreUnavailable, match=r"locked.*another process"):
                await database.write(add_task)
            other.execute("ROLLBACK")
        await database.write(add_task)
