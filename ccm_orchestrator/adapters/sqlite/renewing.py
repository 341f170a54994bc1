"""Renewing leases: hundreds at once, several times a minute, so the plain case reads and writes what it must."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from datetime import datetime

from ccm_orchestrator.adapters.sqlite import systems, table
from ccm_orchestrator.adapters.sqlite.documents import time_text
from ccm_orchestrator.domain import leasing
from ccm_orchestrator.domain.task import LeaseKey, Task
from ccm_orchestrator.ports.tasks import LeaseAnswer

_PLAIN = """
SELECT 1 FROM tasks WHERE task_id = ? AND fence = ? AND status IN ('claimed', 'running', 'waiting')
AND lease_system_id = ? AND lease_boot_id = ? AND cancel_requested_at IS NULL
"""
_EXTEND = "UPDATE tasks SET lease_expires_at = ?, updated_at = ? WHERE task_id = ?"


def renew(
    connection: sqlite3.Connection,
    system_id: str,
    boot_id: str,
    keys: Sequence[LeaseKey],
    lease_s: float,
    now: datetime,
) -> Mapping[str, LeaseAnswer]:
    draining = systems.beat(connection, system_id, boot_id, now).draining
    lease = leasing.lease_for(system_id, boot_id, lease_s, now)
    answers, plain = {}, []
    for key in keys:
        if connection.execute(_PLAIN, (key.task_id, key.fence, system_id, boot_id)).fetchone():
            plain.append((time_text(lease.expires_at), time_text(now), key.task_id))
            answers[key.task_id] = LeaseAnswer.DRAIN if draining else LeaseAnswer.OK
            continue
        task = table.find(connection, key.task_id)
        if task is None or not leasing.holds(task, key, system_id, boot_id):
            answers[key.task_id] = LeaseAnswer.FENCED
            continue
        table.update(connection, task, leasing.renewed(task, lease, now))
        answers[key.task_id] = answer(task, draining)
    connection.executemany(_EXTEND, plain)
    return answers


def adopt(
    connection: sqlite3.Connection, key: LeaseKey, system_id: str, boot_id: str, lease_s: float, now: datetime
) -> LeaseAnswer:
    systems.beat(connection, system_id, boot_id, now)
    task = table.find(connection, key.task_id)
    if task is None or not leasing.holds(task, key, system_id):
        return LeaseAnswer.FENCED
    lease = leasing.lease_for(system_id, boot_id, lease_s, now)
    table.update(connection, task, leasing.renewed(task, lease, now))
    table.set_claim_request(connection, key.task_id, None)
    return answer(task, draining=False)


def answer(task: Task, draining: bool) -> LeaseAnswer:
    if task.cancel_requested_at is not None:
        return LeaseAnswer.CANCEL
    return LeaseAnswer.DRAIN if draining else LeaseAnswer.OK
