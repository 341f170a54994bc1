"""How connections are opened: the one that writes, and those that only read."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

from ccm_orchestrator.directories import make_directory

BUSY_TIMEOUT_MS = 10_000
WRITER_TIMEOUT_MS = 3_000
"""A write may have to wait first for another that waits as long, and no loop may seem to hang for either."""


def create_private(path: Path) -> None:
    """Nobody but the user may read the file; the write-ahead log inherits its mode."""
    make_directory(path.parent)
    os.close(os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))


def connect_writer(path: Path) -> sqlite3.Connection:
    connection = _connect(path)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")
    # Releases of SQLite before 3.51.3 can damage a file whose log two connections check in: only this one does.
    connection.execute("PRAGMA wal_autocheckpoint = 1000")
    connection.execute("PRAGMA journal_size_limit = 67108864")
    connection.execute(f"PRAGMA busy_timeout = {WRITER_TIMEOUT_MS}")
    return connection


def connect_visitor(path: Path) -> sqlite3.Connection:
    """Writes beside a daemon that does not answer, and leaves the checkpoints to it."""
    connection = _connect(path)
    connection.execute("PRAGMA wal_autocheckpoint = 0")
    return connection


def connect_reader(path: Path) -> sqlite3.Connection:
    connection = _connect(path)
    connection.execute("PRAGMA wal_autocheckpoint = 0")
    connection.execute("PRAGMA query_only = 1")
    return connection


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, cached_statements=256)
    try:
        connection.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
    except sqlite3.Error:
        connection.close()
        raise
    connection.row_factory = sqlite3.Row
    connection.text_factory = _text
    return connection


def _text(raw: bytes) -> str:
    """Rows inserted by hand may hold anything; what is not UTF-8 comes through, to be noticed when the row is read."""
    return raw.decode("utf-8", "surrogateescape")
