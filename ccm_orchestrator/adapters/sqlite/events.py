"""The durable event log in SQLite."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from datetime import datetime
from functools import partial

from ccm_orchestrator.adapters.sqlite.database import Database
from ccm_orchestrator.adapters.sqlite.documents import json_text, read_time, storable, time_text
from ccm_orchestrator.domain.events import BusEvent, EventKind, HookRecord, StoredEvent

PRUNE_BATCH = 5_000
"""Rows removed in one transaction, so that retention never keeps other writes waiting for long."""

_KNOWN = "SELECT event_id FROM hook_events WHERE event_id IN (SELECT value FROM json_each(?))"
_ADD_HOOK = "INSERT INTO hook_events (event_id, run_id, hook_event_name, at, raw) VALUES (?, ?, ?, ?, ?)"
_ADD_EVENT = "INSERT INTO events (seq, kind, at, task_id, run_id, data) VALUES (?, ?, ?, ?, ?, ?)"


class SqliteEventStore:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def append(self, events: Sequence[BusEvent]) -> Sequence[StoredEvent]:
        return await self._database.write(lambda c: append(c, events))

    async def ingest(self, records: Sequence[tuple[HookRecord, Sequence[BusEvent]]]) -> Sequence[StoredEvent]:
        def work(connection: sqlite3.Connection) -> list[StoredEvent]:
            fresh = _unknown(connection, records)
            connection.executemany(_ADD_HOOK, [_hook_row(record) for record, _ in fresh])
            return append(connection, [event for _, events in fresh for event in events])

        return await self._database.write(work)

    async def read(
        self, after_seq: int, limit: int = 500, task_id: str | None = None, run_id: str | None = None
    ) -> Sequence[StoredEvent]:
        conditions, values = ["seq > ?"], list[object]((after_seq,))
        for column, value in (("task_id", task_id), ("run_id", run_id)):
            if value is not None:
                conditions.append(f"{column} = ?")
                values.append(value)
        statement = f"SELECT * FROM events WHERE {' AND '.join(conditions)} ORDER BY seq LIMIT ?"
        rows = await self._database.read(lambda c: c.execute(statement, (*values, limit)).fetchall())
        return [_stored(row) for row in rows]

    async def last_seq(self) -> int:
        return await self._database.read(_last_seq)

    async def first_seq(self) -> int:
        statement = "SELECT coalesce(min(seq), 0) FROM events"
        return await self._database.read(lambda c: int(c.execute(statement).fetchone()[0]))

    async def hook_records(self, run_id: str) -> Sequence[HookRecord]:
        statement = "SELECT * FROM hook_events WHERE run_id = ? ORDER BY seq"
        rows = await self._database.read(lambda c: c.execute(statement, (run_id,)).fetchall())
        return [_hook(row) for row in rows]

    async def prune(self, before: datetime) -> int:
        removed = 0
        for table in ("events", "hook_events"):
            while count := await self._database.write(partial(_remove, table=table, before=before)):
                removed += count if table == "events" else 0
        return removed


def append(connection: sqlite3.Connection, events: Sequence[BusEvent]) -> list[StoredEvent]:
    stored = [StoredEvent(seq, event) for seq, event in enumerate(events, _last_seq(connection) + 1)]
    connection.executemany(_ADD_EVENT, [_event_row(entry) for entry in stored])
    return stored


def _last_seq(connection: sqlite3.Connection) -> int:
    """Also of events that were removed since."""
    row = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'events'").fetchone()
    return int(row["seq"]) if row else 0


def _unknown(
    connection: sqlite3.Connection, records: Sequence[tuple[HookRecord, Sequence[BusEvent]]]
) -> list[tuple[HookRecord, Sequence[BusEvent]]]:
    first = {storable(record.event_id): (record, events) for record, events in reversed(records)}
    known = connection.execute(_KNOWN, (json.dumps(list(first)),)).fetchall()
    for row in known:
        del first[row["event_id"]]
    return list(reversed(first.values()))


def _remove(connection: sqlite3.Connection, table: str, before: datetime) -> int:
    statement = f"DELETE FROM {table} WHERE seq IN (SELECT seq FROM {table} WHERE at < ? LIMIT {PRUNE_BATCH})"
    return connection.execute(statement, (time_text(before),)).rowcount


def _event_row(stored: StoredEvent) -> tuple[object, ...]:
    event = stored.event
    return stored.seq, event.kind.value, time_text(event.at), event.task_id, event.run_id, json_text(event.data)


def _stored(row: sqlite3.Row) -> StoredEvent:
    event = BusEvent(
        EventKind(row["kind"]), read_time(row["at"]), row["task_id"], row["run_id"], json.loads(row["data"])
    )
    return StoredEvent(row["seq"], event)


def _hook_row(record: HookRecord) -> tuple[object, ...]:
    """A name that is no UTF-8 must not keep a whole batch from being stored."""
    event_id, name = storable(record.event_id), storable(record.hook_event_name)
    return event_id, record.run_id, name, time_text(record.at), record.raw


def _hook(row: sqlite3.Row) -> HookRecord:
    return HookRecord(row["event_id"], row["run_id"], row["hook_event_name"], read_time(row["at"]), row["raw"])
