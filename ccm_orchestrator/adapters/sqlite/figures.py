"""Figures of the embedded database. Each query is answered by an index: prompts and results are not read."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from datetime import datetime

from ccm_orchestrator.adapters.sqlite.database import Database
from ccm_orchestrator.adapters.sqlite.documents import read_time, time_text
from ccm_orchestrator.domain.spending import COUNTED, ENDS
from ccm_orchestrator.ports.figures import Figures, Spent
from ccm_orchestrator.ports.world import Clock

QUEUED = """
SELECT project, count(*) AS n, min(CASE WHEN run_after IS NULL OR run_after <= :now THEN seq END) AS oldest
FROM tasks INDEXED BY tasks_queued WHERE status = 'queued' GROUP BY project
"""
LEASED = """
SELECT project, status, count(*) AS n FROM tasks INDEXED BY tasks_leased
WHERE status IN ('claimed', 'running', 'waiting', 'orphaned') GROUP BY project, status
"""
HELD = "SELECT project, count(*) AS n FROM tasks INDEXED BY tasks_held WHERE status = 'held' GROUP BY project"
AGENTS = """
SELECT coalesce(views.state, 'spawning') AS state, count(*) AS n
FROM runs INDEXED BY runs_open LEFT JOIN agent_views views USING (run_id)
WHERE runs.state <> 'ended' GROUP BY 1
"""
PERMISSIONS = """
SELECT count(*) AS n, (SELECT request FROM permissions WHERE status = 'open' ORDER BY seq LIMIT 1) AS oldest
FROM permissions WHERE status = 'open'
"""
INCIDENTS = (
    "SELECT kind, count(*) AS n FROM incidents INDEXED BY incidents_open WHERE recovered_at IS NULL GROUP BY kind"
)
OUTBOX = "SELECT store, count(*) AS n FROM outbox GROUP BY store"


_USED = f"""coalesce(sum(json_extract(data, '$.usage.cost_usd')), 0.0) AS cost_usd,
  coalesce(sum({" + ".join(f"coalesce(json_extract(data, '$.usage.{name}'), 0)" for name in COUNTED)}), 0) AS tokens"""
_ENDED = f"""events.run_id IS NOT NULL AND kind IN ({", ".join(f"'{kind}'" for kind in sorted(ENDS))})"""
SPENT = f"SELECT {_USED} FROM events WHERE seq > :after AND seq <= :last AND at >= :since AND {_ENDED}"
SPENT_BY_PROJECT = f"""
SELECT coalesce(json_extract(runs.run, '$.project'), '') AS project, {_USED}
FROM events INDEXED BY events_at LEFT JOIN runs ON runs.run_id = events.run_id
WHERE at >= :since AND {_ENDED} GROUP BY 1 ORDER BY cost_usd DESC, tokens DESC, project
"""


class SqliteFigures:
    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def spent(self, since: datetime, after_seq: int) -> Spent:
        return await self._database.read(lambda c: _spent(c, since, after_seq))

    async def spent_by_project(self, since: datetime) -> Mapping[str, Spent]:
        def work(connection: sqlite3.Connection) -> Mapping[str, Spent]:
            rows = connection.execute(SPENT_BY_PROJECT, {"since": time_text(since)})
            return {row["project"]: Spent(row["cost_usd"], row["tokens"]) for row in rows}

        return await self._database.read(work)

    async def figures(self) -> Figures:
        return await self._database.read(lambda c: _figures(c, self._clock.now()))


def _figures(connection: sqlite3.Connection, now: datetime) -> Figures:
    queued = connection.execute(QUEUED, {"now": time_text(now)}).fetchall()
    tasks = {(row["project"], "queued"): row["n"] for row in queued}
    tasks |= {(row["project"], row["status"]): row["n"] for row in connection.execute(LEASED)}
    tasks |= {(row["project"], "held"): row["n"] for row in connection.execute(HELD)}
    permissions = connection.execute(PERMISSIONS).fetchone()
    term = connection.execute("SELECT term FROM daemon").fetchone()
    return Figures(
        tasks=tasks,
        oldest_queued_s={row["project"]: _age(connection, row["oldest"], now) for row in queued if row["oldest"]},
        agents={row["state"]: row["n"] for row in connection.execute(AGENTS)},
        permissions=permissions["n"],
        oldest_permission_s=_since(json.loads(permissions["oldest"])["created_at"], now) if permissions["n"] else 0.0,
        outbox={row["store"]: row["n"] for row in connection.execute(OUTBOX)},
        incidents={row["kind"]: row["n"] for row in connection.execute(INCIDENTS)},
        term=term["term"] if term else 0,
    )


def _spent(connection: sqlite3.Connection, since: datetime, after_seq: int) -> Spent:
    last = connection.execute("SELECT coalesce(max(seq), 0) AS seq FROM events").fetchone()["seq"]
    values = {"after": after_seq, "last": last, "since": time_text(since)}
    row = connection.execute(SPENT, values).fetchone()
    return Spent(row["cost_usd"], row["tokens"], max(last, after_seq))


def _age(connection: sqlite3.Connection, seq: int, now: datetime) -> float:
    row = connection.execute("SELECT created_at FROM tasks WHERE seq = ?", (seq,)).fetchone()
    return _since(row["created_at"], now)


def _since(at: str, now: datetime) -> float:
    """A row that somebody inserted by hand may have any text as its time; it counts as new."""
    try:
        return max(0.0, (now - read_time(at)).total_seconds())
    except ValueError:
        return 0.0
