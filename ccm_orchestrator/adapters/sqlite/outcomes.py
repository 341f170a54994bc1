"""How tasks ended, and what was refused."""

from __future__ import annotations

import sqlite3
from datetime import datetime

from ccm_orchestrator.adapters.sqlite import table
from ccm_orchestrator.adapters.sqlite.documents import document, read_document, time_text
from ccm_orchestrator.adapters.sqlite.rows import RESULTS
from ccm_orchestrator.domain import leasing
from ccm_orchestrator.domain.result import TaskResult
from ccm_orchestrator.domain.task import LeaseKey
from ccm_orchestrator.errors import Fenced
from ccm_orchestrator.ports.tasks import FinishAnswer

_RECORD = "INSERT INTO outcomes (task_id, fence, at, result) VALUES (?, ?, ?, ?)"
_KEEP_LATE = """
INSERT INTO late_results (task_id, fence, at, result)
SELECT :task_id, :fence, :at, :result
WHERE NOT EXISTS (SELECT 1 FROM late_results WHERE task_id = :task_id AND fence = :fence AND result = :result)
"""


def finish(connection: sqlite3.Connection, key: LeaseKey, result: TaskResult, now: datetime) -> FinishAnswer:
    recorded = connection.execute("SELECT 1 FROM outcomes WHERE task_id = ? AND fence = ?", (key.task_id, key.fence))
    if recorded.fetchone() is not None:
        return FinishAnswer.ALREADY
    try:
        task = table.get_fenced(connection, key)
    except Fenced:
        late = {"task_id": key.task_id, "fence": key.fence, "at": time_text(now), "result": document(result)}
        connection.execute(_KEEP_LATE, late)
        return FinishAnswer.FENCED
    ended = leasing.finished(task, result, now)
    table.update(connection, task, ended)
    connection.execute(_RECORD, (key.task_id, key.fence, time_text(now), document(ended.result or result)))
    return FinishAnswer.RECORDED


def late_results(connection: sqlite3.Connection, task_id: str) -> list[tuple[int, TaskResult]]:
    rows = connection.execute("SELECT fence, result FROM late_results WHERE task_id = ? ORDER BY seq", (task_id,))
    return [(row["fence"], read_document(RESULTS, row["result"])) for row in rows]
