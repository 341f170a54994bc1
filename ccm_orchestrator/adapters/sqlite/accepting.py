"""A task with its events and the entry of the audit log, inside one transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from ccm_orchestrator.adapters.sqlite import enqueueing, projects
from ccm_orchestrator.adapters.sqlite.beside import keep
from ccm_orchestrator.domain.task import DEFAULT_PROFILE, NewTask, Task
from ccm_orchestrator.ports.acceptance import Accepted
from ccm_orchestrator.ports.beside import Beside


def accept(
    connection: sqlite3.Connection, new: NewTask, beside: Callable[[Task], Beside], queue_limit: int, now: datetime
) -> Accepted:
    if not new.profile:
        new = replace(new, profile=projects.profile_of(connection, new.project) or DEFAULT_PROFILE)
    task, is_new = enqueueing.enqueue(connection, new, queue_limit, now)
    if not is_new:
        return Accepted(task, False)
    return Accepted(task, True, keep(connection, beside(task)))
