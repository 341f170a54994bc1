"""What is done about a damaged file: noticed, set aside, replaced by the newest backup that is sound."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Collection, Sequence
from contextlib import closing, suppress
from datetime import UTC, datetime
from pathlib import Path

from ccm_orchestrator.adapters.sqlite.connections import connect_reader, create_private
from ccm_orchestrator.adapters.sqlite.translation import translated
from ccm_orchestrator.directories import make_directory
from ccm_orchestrator.domain.task import HoldReason
from ccm_orchestrator.errors import StoreCorrupt, StoreError

KEEP_BACKUPS = 5
BACKUP_PATTERN = "ccm-*.db"
STAMP = "%Y%m%dT%H%M%S%fZ"
SIDE_FILES = ("", "-wal", "-shm")
NUMBER_GAP = 1_000
"""More fences and terms than a day between backups can have seen."""
SEQ_GAP = 1_000_000

_PARK = """
UPDATE tasks SET status = 'held', hold_reason = :reason, hold_detail = :detail, hold_until = NULL
WHERE status = 'queued'
"""
_RAISE_FENCES = """
UPDATE tasks SET fence = fence + :gap, fence_floor = fence + :gap
WHERE status NOT IN ('claimed', 'running', 'waiting', 'orphaned')
"""


def damage(path: Path) -> str | None:
    """What is wrong with the file; None when nothing is, or when there is none."""
    if not path.exists() or path.stat().st_size == 0:
        return None
    try:
        with translated(path), closing(connect_reader(path)) as connection:
            return problem_found(connection, "quick_check")
    except StoreCorrupt as error:
        return error.message


def problem_found(connection: sqlite3.Connection, check: str) -> str | None:
    """`check`: `quick_check` or `integrity_check`."""
    lines = [str(row[0]) for row in connection.execute(f"PRAGMA {check}(3)")]
    return None if lines == ["ok"] else "; ".join(lines)


def emptied(path: Path) -> bool:
    """The file is there and holds nothing, not even in its log: somebody or something truncated it."""
    log = path.with_name(path.name + "-wal")
    return path.exists() and path.stat().st_size == 0 and not (log.exists() and log.stat().st_size)


def set_aside(path: Path, now: datetime, why: str = "damaged") -> Path:
    """Moves the file with its log, so that a person can still rescue what is in it."""
    target = path.with_name(f"{path.name}.{why}-{now.strftime(STAMP)}")
    for side in SIDE_FILES:
        source = path.with_name(path.name + side)
        if source.exists():
            source.rename(target.with_name(target.name + side))
    return target


def backups(directory: Path) -> Sequence[Path]:
    """Newest first."""
    return sorted(directory.glob(BACKUP_PATTERN), reverse=True)


def newest_known(directory: Path, known: Collection[str]) -> Path | None:
    """The newest backup in which no migration is foreign, as it was made before the first that is."""
    for backup in backups(directory):
        with suppress(StoreError), translated(backup), closing(connect_reader(backup)) as connection:
            if all(name in known for (name,) in connection.execute("SELECT name FROM schema_migrations")):
                return backup
    return None


def back_up(path: Path, directory: Path, keep: int = KEEP_BACKUPS) -> Path:
    """A copy of a database that may be in use, verified before it counts; older ones beyond `keep` are removed."""
    make_directory(directory)
    target = directory / f"ccm-{datetime.now(UTC).strftime(STAMP)}.db"
    partial = target.with_suffix(".partial")
    create_private(partial)
    with closing(sqlite3.connect(partial)) as copy:
        with closing(connect_reader(path)) as source:
            source.backup(copy)
        copy.execute("PRAGMA journal_mode = DELETE")
        problem = problem_found(copy, "integrity_check")
    if problem is not None:
        partial.unlink()
        raise StoreCorrupt(f"The backup of {path} is not sound: {problem}.", path=path)
    replace_durably(partial, target)
    for old in backups(directory)[keep:]:
        old.unlink()
    return target


def sound(backup: Path) -> bool:
    try:
        with translated(backup), closing(connect_reader(backup)) as connection:
            return problem_found(connection, "integrity_check") is None
    except StoreError:
        return False


def restore(backup: Path, path: Path) -> None:
    partial = path.with_name(path.name + ".restoring")
    shutil.copyfile(backup, partial)
    partial.chmod(0o600)
    replace_durably(partial, path)


def replace_durably(source: Path, target: Path) -> None:
    for name in (source, source.parent):
        descriptor = os.open(name, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        if name is source:
            source.replace(target)


def distrust(connection: sqlite3.Connection, backup: Path) -> None:
    """After a restore: what waited then may have run since, so a person decides; no number is given a second time.

    Leased tasks stay: adoption finds out from their runs what became of them.
    """
    detail = (
        f"The database was damaged and restored from the backup {backup.name}; this task may have run since. "
        "Look at its project, then `ccm-orchestrator task release` it or cancel it."
    )
    connection.execute("BEGIN IMMEDIATE")
    connection.execute(_PARK, {"reason": HoldReason.APPROVAL, "detail": detail})
    connection.execute(_RAISE_FENCES, {"gap": NUMBER_GAP})
    connection.execute("UPDATE daemon SET term = term + ?", (NUMBER_GAP,))
    connection.execute("UPDATE sqlite_sequence SET seq = seq + ? WHERE name = 'events'", (SEQ_GAP,))
    connection.execute("COMMIT")
