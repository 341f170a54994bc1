"""Reading and writing single tasks inside a transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

from ccm_orchestrator.adapters.sqlite.rows import columns, read_task
from ccm_orchestrator.domain import leasing, refusals
from ccm_orchestrator.domain.leasing import UNBEGUN
from ccm_orchestrator.domain.task import LeaseKey, Task

LEASED = "status IN ('claimed', 'running', 'waiting', 'orphaned')"
"""As the partial index says it."""
LAST_CHARACTER = "\U0010ffff"


def find(connection: sqlite3.Connection, task_id: str) -> Task | None:
    row = connection.execute("SELECT * FROM tasks WHERE task_id = ?", (task_id,)).fetchone()
    return None if row is None else read_task(row)[0]


def get(connection: sqlite3.Connection, task_id: str) -> Task:
    """Also by a unique prefix. Raises: TaskNotFound."""
    task = find(connection, task_id)
    if task is not None:
        return task
    if len(task_id) < refusals.MIN_PREFIX:
        raise refusals.task_not_found(task_id)
    rows = connection.execute(
        "SELECT * FROM tasks WHERE task_id >= ? AND task_id < ? LIMIT 2", (task_id, task_id + LAST_CHARACTER)
    ).fetchall()
    if len(rows) > 1:
        raise refusals.ambiguous_task(task_id)
    if not rows:
        raise refusals.task_not_found(task_id)
    return read_task(rows[0])[0]


def get_fenced(connection: sqlite3.Connection, key: LeaseKey) -> Task:
    """Raises: Fenced."""
    task = find(connection, key.task_id)
    if task is None:
        raise refusals.task_gone(key.task_id, key.fence)
    leasing.check_fence(task, key)
    return task


def insert(connection: sqlite3.Connection, task: Task) -> None:
    values = columns(task)
    names, marks = ", ".join(values), ", ".join(f":{name}" for name in values)
    connection.execute(f"INSERT INTO tasks ({names}) VALUES ({marks})", values)


def update(connection: sqlite3.Connection, old: Task, new: Task) -> Task:
    """Writes only what differs: a column that could not be read stays as it was written."""
    before, after = columns(old), columns(new)
    changes = {name: value for name, value in after.items() if value != before[name]}
    if new.status not in UNBEGUN:
        changes["claim_request"] = None
    if changes:
        settings = ", ".join(f"{name} = :{name}" for name in changes)
        connection.execute(f"UPDATE tasks SET {settings} WHERE task_id = :key", changes | {"key": old.task_id})
    return new


def set_claim_request(connection: sqlite3.Connection, task_id: str, request_id: str | None) -> None:
    connection.execute("UPDATE tasks SET claim_request = ? WHERE task_id = ?", (request_id, task_id))


def statuses(connection: sqlite3.Connection, task_ids: Iterable[str]) -> dict[str, str]:
    """Of those that exist."""
    found = {}
    for task_id in task_ids:
        row = connection.execute("SELECT status FROM tasks WHERE task_id = ?", (task_id,)).fetchone()
        if row is not None:
            found[task_id] = row["status"]
    return found
