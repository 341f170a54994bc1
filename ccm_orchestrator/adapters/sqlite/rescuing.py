"""Leases that ran out, and holds whose time has come."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from datetime import datetime, timedelta

from ccm_orchestrator.adapters.sqlite import systems, table
from ccm_orchestrator.adapters.sqlite.documents import read_time, time_text
from ccm_orchestrator.domain import leasing
from ccm_orchestrator.domain.presence import Presence, may_take_over
from ccm_orchestrator.domain.task import Task, TaskStatus

CLAIMS_KEPT = timedelta(days=1)
"""For how long a claim may be repeated."""

_LEASED = f"SELECT task_id, lease_expires_at FROM tasks WHERE {table.LEASED}"
_HELD = "SELECT task_id FROM tasks WHERE status = 'held' AND (hold_until IS NOT NULL OR hold_reason = 'dependency')"


def rescue(connection: sqlite3.Connection, system_id: str, grace_s: float, now: datetime) -> list[Task]:
    rescuer = systems.beat(connection, system_id, None, now)
    changed = [*_expired(connection, rescuer, grace_s, now), *_released_holds(connection, now)]
    if connection.execute("SELECT 1 FROM claim_requests WHERE at < ?", (_oldest_claim(now),)).fetchone():
        connection.execute("DELETE FROM claim_requests WHERE at < ?", (_oldest_claim(now),))
    return changed


def _oldest_claim(now: datetime) -> str:
    return time_text(now - CLAIMS_KEPT)


def _expired(connection: sqlite3.Connection, rescuer: Presence, grace_s: float, now: datetime) -> Iterator[Task]:
    for task_id, expires_at in connection.execute(_LEASED).fetchall():
        if not _past(expires_at, now):
            continue
        task = table.get(connection, task_id)
        owner = systems.find(connection, task.lease.system_id) if task.lease else None
        if task.status is not TaskStatus.ORPHANED:
            yield table.update(connection, task, leasing.orphaned(task, now))
        elif may_take_over(task, owner, rescuer, grace_s, now):
            yield table.update(connection, task, leasing.taken_over(task, now))


def _past(moment: str | None, now: datetime) -> bool:
    """A lease without a readable end was written by hand: nobody holds it."""
    try:
        return moment is None or read_time(str(moment)) <= now
    except ValueError:
        return True


def _released_holds(connection: sqlite3.Connection, now: datetime) -> Iterator[Task]:
    for (task_id,) in connection.execute(_HELD).fetchall():
        task = table.get(connection, task_id)
        dependencies = [TaskStatus(status) for status in table.statuses(connection, task.after).values()]
        if leasing.hold_is_over(task, dependencies, now):
            yield table.update(connection, task, leasing.hold_due(task, now))
