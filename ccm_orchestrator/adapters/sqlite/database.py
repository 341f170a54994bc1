"""One database file: one connection that writes, on its own thread, and a few that read."""

from __future__ import annotations

import asyncio
import queue
import sqlite3
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from ccm_orchestrator.adapters.sqlite import migrations, recovery
from ccm_orchestrator.adapters.sqlite.commits import Commits
from ccm_orchestrator.adapters.sqlite.connections import connect_reader, connect_writer, create_private
from ccm_orchestrator.adapters.sqlite.recovery import KEEP_BACKUPS
from ccm_orchestrator.adapters.sqlite.translation import translated
from ccm_orchestrator.errors import SchemaTooNew, StoreCorrupt, StoreUnavailable

READERS = 3

T = TypeVar("T")
Work = Callable[[sqlite3.Connection], T]


def _tell_nobody(_what: str) -> None:
    """Nobody waits for it."""


@dataclass(frozen=True, slots=True)
class OpenReport:
    """What `Database.open` found and did."""

    path: Path
    created: bool
    migrations: tuple[str, ...]
    """Names of those applied now."""
    damage: str | None = None
    """What was wrong with the file that was found; None: nothing."""
    set_aside: Path | None = None
    """Where the damaged file is now."""
    restored_from: Path | None = None
    """The backup in use since; None while `damage` is set: there was no sound one, and the database began empty."""


class Database:
    """`open` before use; every call may come from any event loop of the process."""

    def __init__(self, path: Path, backup_directory: Path | None = None, keep_backups: int = KEEP_BACKUPS) -> None:
        self.path = path
        self._backup_directory = backup_directory or path.parent / "backups"
        self._keep_backups = keep_backups
        self._known = migrations.shipped_migrations()
        self._commits = Commits()
        self._write_thread = ThreadPoolExecutor(1, "ccm-store-writer")
        self._read_threads = ThreadPoolExecutor(READERS, "ccm-store-reader")
        self._writer: sqlite3.Connection | None = None
        self._readers: queue.SimpleQueue[sqlite3.Connection] = queue.SimpleQueue()
        self._report: OpenReport | None = None
        self._closed = False
        self._refusal: str | None = None

    @property
    def refusal(self) -> str | None:
        """Why the last write was not taken; None: it was."""
        return self._refusal

    async def open(self, told: Callable[[str], None] = _tell_nobody) -> OpenReport:
        """Checks, restores and migrates as needed; a second call only returns the report.

        `told` hears, on another thread, what is done next, as far as that may take long.
        Raises: StoreUnavailable, StoreCorrupt, SchemaTooNew.
        """
        return await self._in_thread(self._write_thread, lambda: self._open(told))

    async def close(self) -> None:
        """Waits for what is under way. May be called twice."""
        if self._closed:
            return
        self._closed = True
        await self._in_thread(self._write_thread, self._close)
        self._write_thread.shutdown(wait=False)
        self._read_threads.shutdown(wait=False)

    async def write(self, work: Work[T]) -> T:
        """Runs `work` and returns when what it wrote is durable; it is undone when `work` raises.

        Writes that wait together are committed together, each whole or not at all.
        """
        try:
            outcome = self._commits.put(work, self._call_drain)
        except RuntimeError as error:
            raise self._is_closed() from error
        try:
            result: T = await outcome
        except (StoreUnavailable, StoreCorrupt) as error:
            self._refusal = error.message
            raise
        self._refusal = None
        return result

    async def read(self, work: Work[T]) -> T:
        """Runs `work` in a read transaction: it sees one state of the database."""
        return await self._in_thread(self._read_threads, lambda: self._read(work))

    async def backup(self) -> Path:
        """A copy, verified before it counts; older ones beyond the number to keep are removed."""
        if self._report is None:
            raise StoreUnavailable(f"The database {self.path} is not open.", path=self.path)
        return await self._in_thread(self._read_threads, self._backup)

    async def _in_thread(self, threads: Executor, work: Callable[[], T]) -> T:
        try:
            running = asyncio.get_running_loop().run_in_executor(threads, self._translated, work)
        except RuntimeError as error:
            raise self._is_closed() from error
        return await running

    def _call_drain(self) -> None:
        self._write_thread.submit(self._commits.drain, self._writing, self.path)

    def _is_closed(self) -> StoreUnavailable:
        return StoreUnavailable(f"The database {self.path} is closed.", path=self.path)

    def _translated(self, work: Callable[[], T]) -> T:
        with translated(self.path):
            return work()

    def _open(self, told: Callable[[str], None]) -> OpenReport:
        if self._report is not None:
            return self._report
        told("checks the database")
        report = self._replace_damaged(told)
        create_private(self.path)
        writer = connect_writer(self.path)
        try:
            applied = self._migrate(writer, report.created, told)
            if report.restored_from is not None:
                recovery.distrust(writer, report.restored_from)
            for _ in range(READERS):
                self._readers.put(connect_reader(self.path))
        except BaseException:
            writer.close()
            raise
        self._writer = writer
        self._report = OpenReport(
            self.path, report.created, applied, report.damage, report.set_aside, report.restored_from
        )
        return self._report

    def _replace_damaged(self, told: Callable[[str], None]) -> OpenReport:
        found = recovery.damage(self.path)
        backup = None
        if found or recovery.emptied(self.path):
            told("looks for a sound backup of the damaged database")
            backup = next(filter(recovery.sound, recovery.backups(self._backup_directory)), None)
        if found is None and backup is None:
            empty = not self.path.exists() or self.path.stat().st_size == 0
            return OpenReport(self.path, empty, ())
        aside = recovery.set_aside(self.path, datetime.now(UTC))
        if backup is not None:
            recovery.restore(backup, self.path)
        return OpenReport(self.path, backup is None, (), found or "the file was empty", aside, backup)

    def _migrate(self, writer: sqlite3.Connection, created: bool, told: Callable[[str], None]) -> tuple[str, ...]:
        try:
            names = migrations.pending(writer, self.path, self._known)
        except SchemaTooNew as error:
            backup = recovery.newest_known(self._backup_directory, self._known)
            if backup is None:
                raise
            raise SchemaTooNew(f"{error.message} The newest that it can read is {backup}.", **vars(error)) from error
        if names and not created:
            told("backs the database up before it is migrated")
            self._backup()
        for name in names:
            told(f"applies migration {name}")
            migrations.apply(writer, name, self._known[name])
        return tuple(names)

    def _close(self) -> None:
        if self._writer is None:
            return
        for _ in range(READERS):
            self._readers.get().close()
        writer, self._writer = self._writer, None
        with suppress(sqlite3.Error):  # on a full disk the log simply keeps what it holds
            writer.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        writer.close()

    def _writing(self) -> sqlite3.Connection:
        if self._writer is None:
            raise StoreUnavailable(f"The database {self.path} is not open.", path=self.path)
        return self._writer

    def _read(self, work: Work[T]) -> T:
        if self._writer is None:
            raise StoreUnavailable(f"The database {self.path} is not open.", path=self.path)
        connection = self._readers.get()
        try:
            connection.execute("BEGIN")
            try:
                return work(connection)
            finally:
                connection.execute("ROLLBACK")
        finally:
            self._readers.put(connection)

    def _backup(self) -> Path:
        return recovery.back_up(self.path, self._backup_directory, self._keep_backups)
