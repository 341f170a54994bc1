"""Claims: which rows a system gets, and which can never be carried out."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from datetime import datetime
from functools import lru_cache
from operator import itemgetter

from ccm_orchestrator.adapters.sqlite import systems, table
from ccm_orchestrator.adapters.sqlite.documents import read_document, read_time, time_text
from ccm_orchestrator.adapters.sqlite.rows import OPTIONS, problem_with_row, read_task, read_texts
from ccm_orchestrator.domain import leasing
from ccm_orchestrator.domain.queueing import Candidate, fairest_first, triage
from ccm_orchestrator.domain.routing import problem_with_labels, suits
from ccm_orchestrator.domain.task import Hold, HoldReason, Task, TaskStatus
from ccm_orchestrator.errors import StoreError
from ccm_orchestrator.ports.tasks import ClaimRequest

_COLUMNS = "seq, task_id, project, priority, run_after, after, system_id, labels"
_QUEUED = f"SELECT {_COLUMNS}, options FROM tasks INDEXED BY tasks_queued WHERE status = 'queued'"
_HOMELESS = f"{_QUEUED} AND project NOT IN (SELECT name FROM projects)"
_PLAIN = f"""
SELECT {_COLUMNS}, NULL FROM (
    SELECT {_COLUMNS}, row_number() OVER (PARTITION BY priority, project ORDER BY seq) AS place
    FROM tasks INDEXED BY tasks_queued
    WHERE status = 'queued' AND after = '[]' AND run_after IS NULL AND labels = '[]'
    AND (system_id IS NULL OR system_id = ?)
    AND project IN (SELECT name FROM projects)
) WHERE place <= ?
"""
"""Rows without conditions: of each project and priority no more than may be wanted, however many wait."""
_CONDITIONAL = f"""
{_QUEUED} AND (after <> '[]' OR run_after IS NOT NULL OR labels <> '[]') AND project IN (SELECT name FROM projects)
"""
SPARE_ROWS = 5
"""Rows of each project and priority that are looked at beyond those wanted, because some may turn out bad."""

_REPEATED = f"SELECT * FROM tasks WHERE claim_request = ? AND {table.LEASED} ORDER BY priority DESC, seq"
_LEASED_PER_PROJECT = f"SELECT project, count(*) AS n FROM tasks WHERE {table.LEASED} GROUP BY project"


def claim(connection: sqlite3.Connection, request: ClaimRequest, now: datetime) -> list[Task]:
    lease = leasing.lease_for(request.system_id, request.boot_id, request.lease_s, now)
    if _answered(connection, request.request_id):
        rows = connection.execute(_REPEATED, (request.request_id,)).fetchall()
        known = [read_task(row)[0] for row in rows]
        return [table.update(connection, task, leasing.claim_repeated(task, lease, now)) for task in known]
    if systems.beat(connection, request.system_id, request.boot_id, now).draining:
        return []
    claimed: list[Task] = []
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
    """One by one; each must be taken before the next is asked for. Rows that can never be carried out are held."""
    spare = SPARE_ROWS
    while request.count > 0:
        candidates = _candidates(connection, request.system_id, request.count + spare, now)
        sorted_out = triage(candidates, _dependencies(connection, candidates), _projects(connection))
        for task_id, reason in sorted_out.holds.items():
            hold(connection, task_id, reason, now)
        bad = 0
        for candidate in fairest_first(sorted_out.claimable, _load(connection)):
            task, problem = _read_whole(connection, candidate.task_id)
            if problem is None:
                yield task
                continue
            hold(connection, task.task_id, Hold(HoldReason.INVALID, problem), now)
            bad += 1
            if bad == spare:  # better ones may lie beyond those that were looked at
                break
        if bad < spare:
            return
        spare *= 2


def _candidates(connection: sqlite3.Connection, system_id: str, width: int, now: datetime) -> list[Candidate]:
    """Oldest first. A row of which a condition cannot be read counts as ready: read whole, it is found out."""
    rows = connection.execute(_PLAIN, (system_id, width)).fetchall()
    rows += connection.execute(_CONDITIONAL).fetchall()
    rows += connection.execute(_HOMELESS).fetchall()
    candidates, own = [], systems.labels(connection, system_id)
    for _, task_id, project, priority, run_after, after, meant_for, labels, options in sorted(rows, key=itemgetter(0)):
        ready = suits(meant_for, _wanted(labels), system_id, own) and _due(run_after, now)
        in_turn = options is not None and _has_session(options)
        candidates.append(Candidate(task_id, project, priority, read_texts(after) or (), ready, in_turn))
    return candidates


@lru_cache(maxsize=1000)
def _wanted(labels: str | bytes) -> tuple[str, ...]:
    """Empty when no system could have them: any may claim the row, and read whole it is found out."""
    wanted = read_texts(labels) or ()
    return () if problem_with_labels(wanted) else wanted


@lru_cache(maxsize=1000)
def _has_session(options: str) -> bool:
    """False of what cannot be read: read whole, the row is found out."""
    try:
        return read_document(OPTIONS, options).session_id is not None
    except StoreError:
        return False


def _load(connection: sqlite3.Connection) -> dict[str, int]:
    return {row["project"]: row["n"] for row in connection.execute(_LEASED_PER_PROJECT)}


def _dependencies(connection: sqlite3.Connection, candidates: list[Candidate]) -> dict[str, TaskStatus]:
    queued = {candidate.task_id: TaskStatus.QUEUED for candidate in candidates}
    wanted = {other for candidate in candidates for other in candidate.after} - queued.keys()
    found = table.statuses(connection, wanted)
    return queued | {task_id: TaskStatus(status) for task_id, status in found.items()}


def _projects(connection: sqlite3.Connection) -> set[str]:
    return {row["name"] for row in connection.execute("SELECT name FROM projects")}


def _read_whole(connection: sqlite3.Connection, task_id: str) -> tuple[Task, str | None]:
    """The task, and why it cannot be carried out."""
    row = connection.execute("SELECT * FROM tasks WHERE task_id = ?", (task_id,)).fetchone()
    task, problems = read_task(row)
    return task, problem_with_row(task, problems)


def _due(run_after: str | None, now: datetime) -> bool:
    try:
        return run_after is None or read_time(str(run_after)) <= now
    except ValueError:
        return True
