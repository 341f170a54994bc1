"""Messages and permission requests, inside a transaction."""

from __future__ import annotations

import itertools
import sqlite3
import uuid
from dataclasses import replace
from datetime import datetime

from ccm_orchestrator.adapters.sqlite.beside import keep
from ccm_orchestrator.adapters.sqlite.documents import Stored, document, read_document, read_time, storable, time_text
from ccm_orchestrator.adapters.sqlite.table import LAST_CHARACTER
from ccm_orchestrator.domain import refusals
from ccm_orchestrator.domain.dialogue import Message, MessageStatus, PermissionRequest, PermissionStatus, Verdict
from ccm_orchestrator.ports.beside import Beside, Telling

_REQUESTS = Stored(PermissionRequest)

_ADD_MESSAGE = """
INSERT INTO messages (message_id, run_id, text, status, created_at, updated_at, detail)
VALUES (?, ?, ?, ?, ?, ?, '') ON CONFLICT (message_id) DO UPDATE SET message_id = message_id RETURNING *
"""
_SET_MESSAGE = "UPDATE messages SET status = ?, detail = ?, answer = ?, updated_at = ? WHERE message_id = ? RETURNING *"
_WITH_INTENTS = """
SELECT run_id FROM permissions WHERE status = 'open'
UNION SELECT run_id FROM messages WHERE status IN ('queued', 'delivered', 'accepted')
"""
_BY_PREFIX = "SELECT request FROM permissions WHERE request_id >= ? AND request_id < ? LIMIT 2"


def runs_with_intents(connection: sqlite3.Connection) -> frozenset[str]:
    return frozenset(row["run_id"] for row in connection.execute(_WITH_INTENTS))


def add_message(
    connection: sqlite3.Connection,
    run_id: str,
    text: str,
    now: datetime,
    message_id: str | None = None,
    status: MessageStatus = MessageStatus.QUEUED,
) -> Message:
    moment = time_text(now)
    values = (message_id or uuid.uuid4().hex, run_id, storable(text), status.value, moment, moment)
    return _message(connection.execute(_ADD_MESSAGE, values).fetchone())


def messages(connection: sqlite3.Connection, run_id: str) -> list[Message]:
    return [
        _message(row) for row in connection.execute("SELECT * FROM messages WHERE run_id = ? ORDER BY seq", (run_id,))
    ]


def set_message(
    connection: sqlite3.Connection, message_id: str, status: MessageStatus, detail: str, answer: str, now: datetime
) -> Message:
    values = (status.value, storable(detail), storable(answer), time_text(now), message_id)
    row = connection.execute(_SET_MESSAGE, values).fetchone()
    if row is None:
        raise refusals.message_not_found(message_id)
    return _message(row)


def add_permission(connection: sqlite3.Connection, request: PermissionRequest, told: Beside) -> bool:
    added = connection.execute(
        "INSERT OR IGNORE INTO permissions (request_id, run_id, status, request) VALUES (?, ?, ?, ?)",
        (request.request_id, request.run_id, request.status.value, document(request)),
    )
    if added.rowcount:
        keep(connection, told)
    return bool(added.rowcount)


def permission(connection: sqlite3.Connection, request_id: str) -> PermissionRequest:
    found = _permission(connection, request_id)
    if found is not None:
        return found
    bounds = (request_id, request_id + LAST_CHARACTER)
    rows = connection.execute(_BY_PREFIX, bounds).fetchall() if request_id else []
    if len(rows) != 1:
        raise refusals.ambiguous_permission(request_id) if rows else refusals.permission_not_found(request_id)
    return read_document(_REQUESTS, rows[0]["request"])


def permissions(connection: sqlite3.Connection, run_id: str | None, open_only: bool) -> list[PermissionRequest]:
    conditions, values = ["1"], []
    if open_only:
        conditions.append("status = 'open'")
    if run_id is not None:
        conditions.append("run_id = ?")
        values.append(run_id)
    rows = connection.execute(f"SELECT request FROM permissions WHERE {' AND '.join(conditions)} ORDER BY seq", values)
    return [read_document(_REQUESTS, row["request"]) for row in rows]


def permissions_since(connection: sqlite3.Connection, run_id: str, since: datetime | None) -> list[PermissionRequest]:
    """Rows behind the first older one are not even read."""
    statement = "SELECT request FROM permissions WHERE run_id = ? ORDER BY seq DESC"
    found = (read_document(_REQUESTS, row["request"]) for row in connection.execute(statement, (run_id,)))
    return list(itertools.takewhile(lambda request: since is None or request.created_at >= since, found))


def decide(
    connection: sqlite3.Connection, request_id: str, verdict: Verdict, now: datetime, told: Telling
) -> PermissionRequest:
    request = permission(connection, request_id)
    if request.status is not PermissionStatus.OPEN:
        raise refusals.permission_closed(request)
    return _save(connection, replace(request, status=PermissionStatus.DECIDED, verdict=verdict, decided_at=now), told)


def close(
    connection: sqlite3.Connection, request_id: str, status: PermissionStatus, now: datetime, told: Telling
) -> bool:
    request = _permission(connection, request_id)
    if request is None or request.status is not PermissionStatus.OPEN:
        return False
    _save(connection, replace(request, status=status, decided_at=now), told)
    return True


def overrule(connection: sqlite3.Connection, request_id: str, told: Telling) -> bool:
    request = _permission(connection, request_id)
    if request is None or request.status is not PermissionStatus.DECIDED:
        return False
    _save(connection, replace(request, status=PermissionStatus.ANSWERED_ELSEWHERE, verdict=None), told)
    return True


def reopen(connection: sqlite3.Connection, request_id: str, told: Telling) -> None:
    request = _permission(connection, request_id)
    if request is not None and request.status is PermissionStatus.DECIDED:
        _save(connection, replace(request, status=PermissionStatus.OPEN, verdict=None, decided_at=None), told)


def _permission(connection: sqlite3.Connection, request_id: str) -> PermissionRequest | None:
    row = connection.execute("SELECT request FROM permissions WHERE request_id = ?", (request_id,)).fetchone()
    return None if row is None else read_document(_REQUESTS, row["request"])


def _save(connection: sqlite3.Connection, request: PermissionRequest, told: Telling) -> PermissionRequest:
    connection.execute(
        "UPDATE permissions SET status = ?, request = ? WHERE request_id = ?",
        (request.status.value, document(request), request.request_id),
    )
    keep(connection, told(request))
    return request


def _message(row: sqlite3.Row) -> Message:
    return Message(
        row["message_id"],
        row["run_id"],
        row["text"],
        MessageStatus(row["status"]),
        read_time(row["created_at"]),
        read_time(row["updated_at"]),
        row["detail"],
        row["answer"],
    )
