"""Systems: their heartbeats, and what they say of themselves."""

from __future__ import annotations

import sqlite3
from datetime import datetime

from ccm_orchestrator.adapters.sqlite.documents import json_text, read_time, time_text
from ccm_orchestrator.adapters.sqlite.rows import read_texts
from ccm_orchestrator.domain import refusals
from ccm_orchestrator.domain.presence import Presence, heartbeat
from ccm_orchestrator.ports.systems import SystemInfo, SystemView

_SAVE = """
INSERT INTO systems (system_id, boot_id, last_seen, connected_since, draining) VALUES (?, ?, ?, ?, ?)
ON CONFLICT (system_id) DO UPDATE SET
    boot_id = excluded.boot_id, last_seen = excluded.last_seen,
    connected_since = excluded.connected_since, draining = excluded.draining
"""


_INTRODUCE = "UPDATE systems SET system_name = ?, version = ?, max_agents = ?, labels = ? WHERE system_id = ?"
_VIEWS = """
SELECT *, (
    SELECT count(*) FROM tasks
    WHERE status IN ('claimed', 'running', 'waiting', 'orphaned') AND lease_system_id = systems.system_id
) AS leased
FROM systems ORDER BY system_id
"""


def register(connection: sqlite3.Connection, info: SystemInfo, boot_id: str, now: datetime) -> None:
    beat(connection, info.system_id, boot_id, now)
    known = (info.system_name, info.version, info.max_agents, json_text(info.labels), info.system_id)
    connection.execute(_INTRODUCE, known)


def labels(connection: sqlite3.Connection, system_id: str) -> tuple[str, ...]:
    row = connection.execute("SELECT labels FROM systems WHERE system_id = ?", (system_id,)).fetchone()
    return (read_texts(row["labels"]) or ()) if row else ()


def views(connection: sqlite3.Connection, now: datetime) -> list[SystemView]:
    return [_view(row, now) for row in connection.execute(_VIEWS)]


def drain(connection: sqlite3.Connection, system_id: str, draining: bool) -> None:
    changed = connection.execute("UPDATE systems SET draining = ? WHERE system_id = ?", (draining, system_id))
    if not changed.rowcount:
        raise refusals.system_not_found(system_id)


def _view(row: sqlite3.Row, now: datetime) -> SystemView:
    last_seen = read_time(row["last_seen"])
    return SystemView(
        row["system_id"],
        row["system_name"] or row["system_id"],
        row["version"] or "",
        row["max_agents"],
        read_texts(row["labels"]) or (),
        bool(row["draining"]),
        last_seen,
        read_time(row["connected_since"]),
        silent_s=(now - last_seen).total_seconds(),
        leased=row["leased"],
    )


def find(connection: sqlite3.Connection, system_id: str) -> Presence | None:
    row = connection.execute("SELECT * FROM systems WHERE system_id = ?", (system_id,)).fetchone()
    if row is None:
        return None
    return Presence(
        row["system_id"],
        row["boot_id"],
        read_time(row["last_seen"]),
        read_time(row["connected_since"]),
        bool(row["draining"]),
    )


def beat(connection: sqlite3.Connection, system_id: str, boot_id: str | None, now: datetime) -> Presence:
    known = find(connection, system_id)
    present = heartbeat(known, system_id, boot_id, now)
    if present != known:
        save(connection, present)
    return present


def save(connection: sqlite3.Connection, present: Presence) -> None:
    connection.execute(
        _SAVE,
        (
            present.system_id,
            present.boot_id,
            time_text(present.last_seen),
            time_text(present.connected_since),
            present.draining,
        ),
    )
