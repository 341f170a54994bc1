"""Tasks as people look at them."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping

from ccm_orchestrator.adapters.sqlite import table
from ccm_orchestrator.adapters.sqlite.rows import read_task
from ccm_orchestrator.domain.task import Task, TaskStatus
from ccm_orchestrator.ports.tasks import TaskQuery

_HAS_TAG = "CASE WHEN json_valid(tags) THEN EXISTS (SELECT 1 FROM json_each(tags) WHERE value = ?) ELSE 0 END"


def list_tasks(connection: sqlite3.Connection, query: TaskQuery) -> list[Task]:
    """Newest first. Raises: TaskNotFound."""
    conditions, values = ["1"], list[object]()
    if query.statuses:
        conditions.append(f"status IN ({', '.join('?' * len(query.statuses))})")
        values.extend(sorted(query.statuses))
    if query.project is not None:
        conditions.append("project = ?")
        values.append(query.project)
    if query.tag is not None:
        conditions.append(_HAS_TAG)
        values.append(query.tag)
    if query.owner is not None:
        conditions.append("owner = ?")
        values.append(query.owner)
    if query.before is not None:
        conditions.append("seq < (SELECT seq FROM tasks WHERE task_id = ?)")
        values.append(table.get(connection, query.before).task_id)
    rows = connection.execute(
        f"SELECT * FROM tasks WHERE {' AND '.join(conditions)} ORDER BY seq DESC LIMIT ?", (*values, query.limit)
    )
    return [read_task(row)[0] for row in rows]


def count_tasks(connection: sqlite3.Connection, owner: str | None = None) -> Mapping[TaskStatus, int]:
    whose, values = ("", ()) if owner is None else ("WHERE owner = ?", (owner,))
    rows = connection.execute(f"SELECT status, count(*) AS n FROM tasks {whose} GROUP BY status", values)
    counts = {row["status"]: row["n"] for row in rows}
    return {status: counts.get(status, 0) for status in TaskStatus}
