"""Heartbeats of systems."""

from __future__ import annotations

import sqlite3
from datetime import datetime

from ccm_orchestrator.adapters.sqlite.documents import read_time, time_text
from ccm_orchestrator.domain.presence import Presence, heartbeat

_SAVE = """
INSERT INTO systems (system_id, boot_id, last_seen, connected_since, draining) VALUES (?, ?, ?, ?, ?)
ON CONFLICT (system_id) DO UPDATE SET
    boot_id = excluded.boot_id, last_seen = excluded.last_seen,
    connected_since = excluded.connected_since, draining = excluded.draining
"""


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
