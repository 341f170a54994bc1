"""Accepting a task, or saying why not."""

from __future__ import annotations

import sqlite3
import uuid
from datetime import datetime

from ccm_orchestrator.adapters.sqlite import table
from ccm_orchestrator.adapters.sqlite.rows import read_task, read_texts
from ccm_orchestrator.domain import refusals
from ccm_orchestrator.domain.queueing import reaches
from ccm_orchestrator.domain.task import NewTask, Task, stored_task

_LIVE_WITH_KEY = """
SELECT * FROM tasks WHERE dedup_key = ? AND status NOT IN ('succeeded', 'failed', 'cancelled')
"""
_WAITING = """
SELECT task_id, after FROM tasks WHERE status NOT IN ('succeeded', 'failed', 'cancelled') AND after <> '[]'
"""


def enqueue(connection: sqlite3.Connection, new: NewTask, queue_limit: int, now: datetime) -> tuple[Task, bool]:
    known = _same(connection, new)
    if known is not None:
        return known, False
    _check(connection, new, queue_limit)
    task = stored_task(new, new.task_id or uuid.uuid4().hex, now)
    table.insert(connection, task)
    return task, True


def live_with_key(connection: sqlite3.Connection, dedup_key: str) -> Task | None:
    row = connection.execute(_LIVE_WITH_KEY, (dedup_key,)).fetchone()
    return None if row is None else read_task(row)[0]


def _same(connection: sqlite3.Connection, new: NewTask) -> Task | None:
    known = None
    if new.task_id is not None:
        known = table.find(connection, new.task_id)
    if known is None and new.dedup_key is not None:
        known = live_with_key(connection, new.dedup_key)
    return known


def _check(connection: sqlite3.Connection, new: NewTask, queue_limit: int) -> None:
    if connection.execute("SELECT 1 FROM projects WHERE name = ?", (new.project,)).fetchone() is None:
        raise refusals.unknown_project(new.project)
    existing = table.statuses(connection, new.after)
    for other in new.after:
        if other not in existing:
            raise refusals.unknown_dependency(other)
    if new.task_id is not None and new.after:
        after = {row["task_id"]: read_texts(row["after"]) or () for row in connection.execute(_WAITING)}
        if reaches(new.after, new.task_id, after):
            raise refusals.dependency_cycle(new.task_id, new.after)
    if _queued(connection) >= queue_limit and (queued := _counted(connection)) >= queue_limit:
        raise refusals.queue_full(queued, queue_limit)


def _queued(connection: sqlite3.Connection) -> int:
    (queued,) = connection.execute("SELECT queued FROM queue_length").fetchone()
    return int(queued)


def _counted(connection: sqlite3.Connection) -> int:
    """Triggers do not see a row that somebody's REPLACE removes: what they counted is set right."""
    (queued,) = connection.execute(
        "UPDATE queue_length SET queued = (SELECT count(*) FROM tasks WHERE status = 'queued') RETURNING queued"
    ).fetchone()
    return int(queued)
