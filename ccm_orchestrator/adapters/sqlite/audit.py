"""The audit log in SQLite: triggers of its table refuse every change of a row."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence

from ccm_orchestrator.adapters.sqlite.database import Database
from ccm_orchestrator.adapters.sqlite.documents import json_text, read_time, storable, time_text
from ccm_orchestrator.domain.audit import AuditEntry, AuditRecord
from ccm_orchestrator.domain.caller import CallerKind
from ccm_orchestrator.ports.audit import AuditQuery

_ADD = """
INSERT INTO audit_log (at, caller, kind, owner, source, action, target, status, before, after)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""


class SqliteAuditLog:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def record(self, entry: AuditEntry) -> None:
        await self._database.write(lambda c: add(c, entry))

    async def read(self, query: AuditQuery) -> Sequence[AuditRecord]:
        conditions, values = ["1"], list[object]()
        wanted = {
            "seq < ?": query.before,
            "caller = ?": query.caller,
            "instr(action, ?)": query.action,
            "instr(target, ?)": query.target,
        }
        for condition, value in wanted.items():
            if value is not None:
                conditions.append(condition)
                values.append(value)
        statement = f"SELECT * FROM audit_log WHERE {' AND '.join(conditions)} ORDER BY seq DESC LIMIT ?"
        rows = await self._database.read(lambda c: c.execute(statement, (*values, query.limit)).fetchall())
        return [_record(row) for row in rows]


def add(connection: sqlite3.Connection, entry: AuditEntry) -> None:
    connection.execute(_ADD, _row(entry))


def _row(entry: AuditEntry) -> tuple[object, ...]:
    texts = (entry.source, entry.action, entry.target)
    return (
        time_text(entry.at),
        storable(entry.caller),
        entry.kind.value,
        None if entry.owner is None else storable(entry.owner),
        *map(storable, texts),
        entry.status,
        _text(entry.before),
        _text(entry.after),
    )


def _record(row: sqlite3.Row) -> AuditRecord:
    entry = AuditEntry(
        at=read_time(row["at"]),
        caller=row["caller"],
        kind=CallerKind(row["kind"]),
        owner=row["owner"],
        source=row["source"],
        action=row["action"],
        target=row["target"],
        status=row["status"],
        before=_mapping(row["before"]),
        after=_mapping(row["after"]),
    )
    return AuditRecord(row["seq"], entry)


def _text(document: Mapping[str, object] | None) -> str | None:
    return None if document is None else json_text(document)


def _mapping(text: str | None) -> Mapping[str, object] | None:
    return None if text is None else json.loads(text)
