"""The schema's numbered steps, applied by name and in order."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from importlib.resources import files
from pathlib import Path

from ccm_orchestrator.errors import SchemaTooNew

_TABLE = """
CREATE TABLE IF NOT EXISTS schema_migrations (
    name       TEXT NOT NULL PRIMARY KEY,
    applied_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
)
"""


def shipped_migrations() -> Mapping[str, str]:
    """Their SQL by name, in order."""
    directory = files("ccm_orchestrator") / "sql" / "sqlite"
    scripts = {entry.name.removesuffix(".sql"): entry for entry in directory.iterdir() if entry.name.endswith(".sql")}
    return {name: scripts[name].read_text("utf-8") for name in sorted(scripts)}


def pending(connection: sqlite3.Connection, path: Path, known: Mapping[str, str]) -> list[str]:
    """Raises: SchemaTooNew."""
    table = connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'schema_migrations'").fetchone()
    applied = {row[0] for row in connection.execute("SELECT name FROM schema_migrations")} if table else set()
    foreign = sorted(applied - known.keys())
    if foreign:
        raise SchemaTooNew(
            f"The database {path} was written by a newer ccm-orchestrator (it has migration {foreign[-1]}, "
            f"this one knows up to {max(known)}): upgrade this one, or restore a backup.",
            path=path,
            migration=foreign[-1],
        )
    return [name for name in known if name not in applied]


def apply(connection: sqlite3.Connection, name: str, script: str) -> None:
    """All of it or nothing."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        connection.execute(_TABLE)
        if connection.execute("SELECT 1 FROM schema_migrations WHERE name = ?", (name,)).fetchone() is None:
            for statement in _statements(script):
                connection.execute(statement)
            connection.execute("INSERT INTO schema_migrations (name) VALUES (?)", (name,))
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise


def _statements(script: str) -> Iterator[str]:
    """One by one, because `executescript` would commit between them."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
    if statement.strip():
        yield statement
