"""The book of incidents in SQLite. A unique index keeps one open incident per kind and subject."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from datetime import datetime

from ccm_orchestrator.adapters.sqlite.database import Database
from ccm_orchestrator.adapters.sqlite.documents import json_text, read_time, storable, time_text
from ccm_orchestrator.adapters.sqlite.events import append
from ccm_orchestrator.domain.incidents import Change, Closing, Incident, IncidentKind, Opening, Trouble, event_of
from ccm_orchestrator.ports.incidents import IncidentQuery

_FIND_OPEN = "SELECT * FROM incidents WHERE kind = ? AND subject = ? AND recovered_at IS NULL"
_ADD = """
INSERT INTO incidents (kind, subject, opened_at, detected_by, detail, attempts, runs) VALUES (?, ?, ?, ?, ?, 1, ?)
RETURNING *
"""
_AGAIN = "UPDATE incidents SET attempts = attempts + 1, detail = ?, runs = ? WHERE seq = ?"
_CLOSE = """
UPDATE incidents SET recovered_at = ?, recovered_by = ? WHERE kind = ? AND subject = ? AND recovered_at IS NULL
RETURNING *
"""
_READ_TO = "INSERT INTO incident_cursor VALUES (1, ?) ON CONFLICT (only) DO UPDATE SET seq = max(seq, excluded.seq)"


class SqliteIncidentStore:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def apply(self, changes: Sequence[Change], cursor: int | None = None) -> Sequence[Incident]:
        def work(connection: sqlite3.Connection) -> list[Incident]:
            if cursor is not None:
                connection.execute(_READ_TO, (cursor,))
            return [incident for change in changes if (incident := _apply(connection, change)) is not None]

        return await self._database.write(work)

    async def cursor(self) -> int | None:
        row = await self._database.read(lambda c: c.execute("SELECT seq FROM incident_cursor").fetchone())
        return None if row is None else int(row["seq"])

    async def incidents(self, query: IncidentQuery) -> Sequence[Incident]:
        which = "recovered_at IS NULL" if query.open_only else "1"
        statement = f"SELECT * FROM incidents WHERE {which} AND (?1 IS NULL OR seq < ?1) ORDER BY seq DESC LIMIT ?2"
        rows = await self._database.read(lambda c: c.execute(statement, (query.before, query.limit)).fetchall())
        return [_incident(row) for row in rows]

    async def prune(self, before: datetime) -> int:
        statement = "DELETE FROM incidents WHERE recovered_at < ?"
        return await self._database.write(lambda c: c.execute(statement, (time_text(before),)).rowcount)


def _apply(connection: sqlite3.Connection, change: Change) -> Incident | None:
    """None: nobody need be told."""
    incident = _open(connection, change) if isinstance(change, Opening) else _close(connection, change)
    if incident is not None:
        append(connection, [event_of(incident, isinstance(change, Opening) and change.told)])
    return incident


def _open(connection: sqlite3.Connection, change: Opening) -> Incident | None:
    trouble = change.trouble
    subject, detail = storable(trouble.subject), storable(trouble.detail)
    known = connection.execute(_FIND_OPEN, (trouble.kind.value, subject)).fetchone()
    if known is None:
        runs = json_text(list(trouble.run_ids))
        values = (trouble.kind.value, subject, time_text(change.at), storable(trouble.detected_by), detail, runs)
        return _incident(connection.execute(_ADD, values).fetchall()[0])
    runs = json_text(list(dict.fromkeys([*json.loads(known["runs"]), *trouble.run_ids])))
    connection.execute(_AGAIN, (detail, runs, known["seq"]))
    return None


def _close(connection: sqlite3.Connection, change: Closing) -> Incident | None:
    values = (time_text(change.at), storable(change.by), change.kind.value, storable(change.subject))
    rows = connection.execute(_CLOSE, values).fetchall()
    return _incident(rows[0]) if rows else None


def _incident(row: sqlite3.Row) -> Incident:
    kind, runs = IncidentKind(row["kind"]), tuple(json.loads(row["runs"]))
    return Incident(
        seq=row["seq"],
        trouble=Trouble(kind, row["subject"], row["detected_by"], row["detail"], runs),
        opened_at=read_time(row["opened_at"]),
        attempts=row["attempts"],
        recovered_at=None if row["recovered_at"] is None else read_time(row["recovered_at"]),
        recovered_by=row["recovered_by"],
    )
