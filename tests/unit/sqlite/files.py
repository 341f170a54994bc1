"""Database files for tests."""

import sqlite3
from collections.abc import Awaitable, Callable
from pathlib import Path

from ccm_orchestrator.adapters.sqlite.database import Database

Opener = Callable[[], Awaitable[Database]]


def add_task(connection: sqlite3.Connection) -> None:
    connection.execute("INSERT INTO tasks (project, prompt) VALUES ('demo', 'Mend it')")


def add_many(connection: sqlite3.Connection) -> None:
    for _ in range(3000):
        add_task(connection)


def count_tasks(connection: sqlite3.Connection) -> int:
    return int(connection.execute("SELECT count(*) FROM tasks").fetchone()[0])


def integrity(connection: sqlite3.Connection) -> str:
    return str(connection.execute("PRAGMA integrity_check").fetchone()[0])


def overwrite_pages(path: Path) -> None:
    """Damages every page but the first, as a failing disk would."""
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xa5" * (size - 4096))
