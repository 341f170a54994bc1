"""A task with its events and the entry of the audit log, inside one transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from ccm_orchestrator.adapters.sqlite import audit, enqueueing, events, projects
from ccm_orchestrator.domain.audit import AuditEntry
from ccm_orchestrator.domain.task import DEFAULT_PROFILE, NewTask, Task
from ccm_orchestrator.ports.acceptance import Accepted, Beside


def accept(
    connection: sqlite3.Connection, new: NewTask, beside: Callable[[Task], Beside], queue_limit: int, now: datetime
) -> Accepted:
    if not new.profile:
        new = replace(new, profile=projects.profile_of(connection, new.project) or DEFAULT_PROFILE)
    task, is_new = enqueueing.enqueue(connection, new, queue_limit, now)
    if not is_new:
        return Accepted(task, False)
    kept = beside(task)
    events.append(connection, kept.events)
    return Accepted(task, True, kept.entry is not None and _audited(connection, kept.entry))


def _audited(connection: sqlite3.Connection, entry: AuditEntry) -> bool:
    try:
        audit.add(connection, entry)
    except sqlite3.Error:
        if not connection.in_transaction:  # the task is gone with it
            raise
        return False
    return True
