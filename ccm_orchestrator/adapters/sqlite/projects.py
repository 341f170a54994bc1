"""Registered projects."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from ccm_orchestrator.adapters.sqlite.documents import optional_time_text
from ccm_orchestrator.adapters.sqlite.rows import RowReader
from ccm_orchestrator.domain import refusals
from ccm_orchestrator.ports.tasks import Project

_SAVE = """
INSERT INTO projects (name, path, profile, created_at) VALUES (?, ?, ?, ?)
ON CONFLICT (name) DO UPDATE SET path = excluded.path, profile = excluded.profile, created_at = excluded.created_at
"""
_OPEN_TASKS = """
SELECT count(*) FROM tasks WHERE project = ? AND status NOT IN ('succeeded', 'failed', 'cancelled')
"""


def save(connection: sqlite3.Connection, project: Project) -> None:
    connection.execute(
        _SAVE, (project.name, str(project.path), project.profile, optional_time_text(project.created_at))
    )


def remove(connection: sqlite3.Connection, name: str) -> None:
    if connection.execute("SELECT 1 FROM projects WHERE name = ?", (name,)).fetchone() is None:
        raise refusals.project_not_found(name)
    (open_tasks,) = connection.execute(_OPEN_TASKS, (name,)).fetchone()
    if open_tasks:
        raise refusals.project_in_use(name, open_tasks)
    connection.execute("DELETE FROM projects WHERE name = ?", (name,))


def profile_of(connection: sqlite3.Connection, name: str) -> str | None:
    """Of its tasks that name none; None also when there is no such project."""
    row = connection.execute("SELECT * FROM projects WHERE name = ?", (name,)).fetchone()
    return None if row is None else RowReader(row).optional_text("profile")


def read_all(connection: sqlite3.Connection) -> list[Project]:
    """By name."""
    found = []
    for row in connection.execute("SELECT * FROM projects ORDER BY name"):
        reader = RowReader(row)
        path, profile = Path(reader.text("path")), reader.optional_text("profile")
        found.append(Project(reader.text("name"), path, profile, reader.time("created_at")))
    return found
