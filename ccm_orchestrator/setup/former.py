"""The way back from an update: the environment as it was, and the database as it was before its migration."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Set
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from ccm_orchestrator.adapters.sqlite import recovery
from ccm_orchestrator.adapters.sqlite.migrations import shipped_migrations
from ccm_orchestrator.adapters.state_lock import StateLock
from ccm_orchestrator.directories import make_directory
from ccm_orchestrator.errors import OrchestratorError
from ccm_orchestrator.settings import Settings


class Former:
    """What was there before an update. Made before it, for its files are read later by a program that is replaced."""

    def __init__(self, settings: Settings, environment: Path) -> None:
        self._settings = settings
        self._environment = environment
        self._kept = settings.state_directory / "update" / environment.name
        self._known = frozenset(shipped_migrations())

    def keep(self) -> None:
        """Takes no room until files are replaced: they are linked where that is possible."""
        shutil.rmtree(self._kept, ignore_errors=True)
        make_directory(self._kept.parent)
        shutil.copytree(self._environment, self._kept, symlinks=True, copy_function=_link)

    def forget(self) -> None:
        shutil.rmtree(self._kept, ignore_errors=True)

    def restore_environment(self) -> None:
        """At the same place, for scripts in it name it."""
        aside = self._environment.with_name(f".{self._environment.name}-failed")
        beside = self._environment.with_name(f".{self._environment.name}-former")
        shutil.rmtree(aside, ignore_errors=True)
        shutil.rmtree(beside, ignore_errors=True)
        shutil.copytree(self._kept, beside, symlinks=True, copy_function=_link)
        self._environment.rename(aside)
        beside.rename(self._environment)
        shutil.rmtree(aside, ignore_errors=True)
        self.forget()

    def restore_database(self) -> str | None:
        """Where a migration of the newer version stands in the way of this one. No daemon may run.

        The newer version made a backup right before it migrated. What it stored afterwards stays in the file that is
        set aside; when that is work, what waits in the backup is held for a person. Raises: OrchestratorError.
        """
        database = self._settings.database
        if not database.exists() or _names(database, "schema_migrations", "name") <= self._known:
            return None
        with StateLock(self._settings.state_directory, passing=True):
            backup = recovery.newest_known(database.parent / "backups", self._known)
            if backup is None or not recovery.sound(backup):
                raise OrchestratorError(f"{database} was migrated, and there is no sound backup from before that.")
            began = _names(database, "runs", "run_id") - _names(backup, "runs", "run_id")
            aside = recovery.set_aside(database, datetime.now(UTC), "newer")
            recovery.restore(backup, database)
            if began:
                with closing(sqlite3.connect(database, isolation_level=None)) as connection:
                    recovery.distrust(connection, backup)
        return f"Restored the database from {backup.name}, made before its migration; what it was is in {aside.name}."


def _link(source: str, target: str) -> str:
    """Packages are replaced file by file; receipts beside them are written over."""
    if "site-packages" not in Path(source).parts:
        return shutil.copy2(source, target, follow_symlinks=False)
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError:
        shutil.copy2(source, target, follow_symlinks=False)
    return target


def _names(database: Path, table: str, column: str) -> Set[str]:
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        return {row[0] for row in connection.execute(f"SELECT {column} FROM {table}")}  # names of our own
