"""The one place where an error of SQLite becomes one of ours."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ccm_orchestrator.errors import InputError, StoreCorrupt, StoreError, StoreUnavailable

_CORRUPT = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT})
_UNAVAILABLE = {
    sqlite3.SQLITE_BUSY: "another process has locked it: end that one, or wait",
    sqlite3.SQLITE_LOCKED: "another connection has locked it: wait",
    sqlite3.SQLITE_FULL: "the disk is full: free some space",
    sqlite3.SQLITE_READONLY: "it cannot be written: give this user write access to the file and its directory",
    sqlite3.SQLITE_CANTOPEN: "it cannot be opened: give this user access to the file and its directory",
    sqlite3.SQLITE_PERM: "access was refused: give this user access to the file and its directory",
    sqlite3.SQLITE_AUTH: "access was refused: give this user access to the file and its directory",
    sqlite3.SQLITE_IOERR: "reading or writing failed: look at the disk's health and its free space",
    sqlite3.SQLITE_NOMEM: "there is no memory left: end something else",
    sqlite3.SQLITE_PROTOCOL: "its lock is contended: wait",
    sqlite3.SQLITE_INTERRUPT: "the work was interrupted: try again",
    sqlite3.SQLITE_NOLFS: "the file system does not support files this large",
}
_PRIMARY = 0xFF
"""An extended result code holds the primary one in its lowest byte."""


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Raises: StoreUnavailable, StoreCorrupt, StoreError; InputError for values that SQLite cannot hold."""
    try:
        yield
    except sqlite3.Error as error:
        raise _store_error(error, path) from error
    except UnicodeEncodeError as error:
        raise InputError("Expected text in UTF-8, got bytes that are not.") from error
    except OverflowError as error:
        raise InputError("Expected a number of at most 64 bits.") from error
    except OSError as error:
        raise StoreUnavailable(f"The database {path} cannot be used: {error.strerror or error}.", path=path) from error


def _store_error(error: sqlite3.Error, path: Path) -> StoreError:
    code = getattr(error, "sqlite_errorcode", None)  # absent when Python's own module raised it
    if code is None:
        return StoreError(f"The database {path} cannot be used: {error}.", path=path)
    if code & _PRIMARY in _CORRUPT:
        return StoreCorrupt(
            f"The database {path} is damaged ({error}): restart the daemon, which restores the newest backup.",
            path=path,
        )
    if code & _PRIMARY in _UNAVAILABLE:
        return StoreUnavailable(
            f"The database {path} does not answer ({error}): {_UNAVAILABLE[code & _PRIMARY]}.", path=path
        )
    return StoreError(f"The database {path} refused a statement: {error}.", path=path)
