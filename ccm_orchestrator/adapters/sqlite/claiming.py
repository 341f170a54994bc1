"""Claims: which rows a system gets, and which can never be carried out."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from datetime import datetime

from ccm_orchestrator.adapters.sqlite import systems, table
from ccm_orchestrator.adapters.sqlite.documents import read_time, time_text
from ccm_orchestrator.adapters.sqlite.rows import problem_with_row, read_task, read_texts
from ccm_orchestrator.domain import leasing
from ccm_orchestrator.domain.queueing import Candidate, fairest_first, triage
from ccm_orchestrator.domain.task import Hold, HoldReason, Task, TaskStatus
from ccm_orchestrator.ports.tasks import ClaimRequest

_QUEUED = """
SELECT task_id, project, priority, run_after, after, system_id
FROM tasks INDEXED BY tasks_queued WHERE status = 'queued' ORDER BY priority DESC, seq
"""
_REPEATED = f"SELECT * FROM tasks WHERE claim_request = ? AND {table.LEASED} ORDER BY priority DESC, seq"
_LOAD = f"SELECT project, count(*) AS n FROM tasks WHERE {table.LEASED} GROUP BY project"


def claim(connection: sqlite3.Connection, request: ClaimRequest, now: datetime) -> list[Task]:
    lease = leasing.lease_for(request.system_id, request.boot_id, request.lease_s, now)
    if _answered(connection, request.request_id):
        rows = connection.execute(_REPEATED, (request.request_id,)).fetchall()
        known = [read_task(row)[0] for row in rows]
        return [table.update(connection, task, leasing.claim_repeated(task, lease, now)) for task in known]
    if systems.beat(connection, request.system_id, request.boot_id, now).draining:
        return []
    claimed = []
    for task in _chosen(connection, request, now):
        claimed.append(table.update(connection, task, leasing.claimed(task, lease, now)))
        table.set_claim_request(connection, task.task_id, request.request_id)
        if len(claimed) == request.count:
            break
    if claimed:
        _remember(connection, request, now)
    return claimed


def hold(connection: sqlite3.Connection, task_id: str, reason: Hold, now: datetime) -> None:
    """Touches no other column, so that a person can mend what was written."""
    connection.execute(
        "UPDATE tasks SET status = 'held', hold_reason = ?, hold_detail = ?, hold_until = NULL, updated_at = ? "
        "WHERE task_id = ?",
        (reason.reason.value, reason.detail, time_text(now), task_id),
    )


def _answered(connection: sqlite3.Connection, request_id: str) -> bool:
    return connection.execute("SELECT 1 FROM claim_requests WHERE request_id = ?", (request_id,)).fetchone() is not None


def _remember(connection: sqlite3.Connection, request: ClaimRequest, now: datetime) -> None:
    connection.execute(
        "INSERT INTO claim_requests (request_id, system_id, at) VALUES (?, ?, ?)",
        (request.request_id, request.system_id, time_text(now)),
    )


def _chosen(connection: sqlite3.Connection, request: ClaimRequest, now: datetime) -> Iterator[Task]:
    if request.count < 1:
        return
    candidates = _candidates(connection, request.system_id, now)
    wanted = {other for candidate in candidates for other in candidate.after}
    known = {task_id: TaskStatus(status) for task_id, status in table.statuses(connection, wanted).items()}
    projects = {row["name"] for row in connection.execute("SELECT name FROM projects")}
    sorted_out = triage(candidates, known, projects)
    for task_id, reason in sorted_out.holds.items():
        hold(connection, task_id, reason, now)
    load = {row["project"]: row["n"] for row in connection.execute(_LOAD)}
    for candidate in fairest_first(sorted_out.claimable, load):
        task, problems = read_task(
            connection.execute("SELECT * FROM tasks WHERE task_id = ?", (candidate.task_id,)).fetchone()
        )
        problem = problem_with_row(task, problems)
        if problem is None:
            yield task
        else:
            hold(connection, task.task_id, Hold(HoldReason.INVALID, problem), now)


def _candidates(connection: sqlite3.Connection, system_id: str, now: datetime) -> list[Candidate]:
    """A row whose time or dependencies cannot be read counts as ready: read whole, it is found out and held."""
    candidates = []
    for task_id, project, priority, run_after, after, meant_for in connection.execute(_QUEUED):
        ready = meant_for in (None, system_id) and _due(run_after, now)
        candidates.append(Candidate(task_id, project, priority, read_texts(after) or (), ready))
    return candidates


def _due(run_after: str | None, now: datetime) -> bool:
    try:
        return run_after is None or read_time(str(run_after)) <= now
    except ValueError:
        return True
