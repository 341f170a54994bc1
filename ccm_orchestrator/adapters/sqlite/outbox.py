"""The outbox in SQLite, in the same file as the journal: what a run did and that it ended are equally durable."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from ccm_orchestrator.adapters.sqlite import events
from ccm_orchestrator.adapters.sqlite.database import Database
from ccm_orchestrator.adapters.sqlite.documents import Stored, document, read_document
from ccm_orchestrator.domain.events import BusEvent
from ccm_orchestrator.domain.task import Task
from ccm_orchestrator.ports.outbox import Deed, Metric

_DEEDS = Stored(Deed)
_TASKS = Stored(Task)
_METRICS = Stored(Metric)

_PUT = "INSERT OR IGNORE INTO outbox (store, task_id, fence, deed) VALUES (?, ?, ?, ?)"
_SETTLE = "DELETE FROM outbox WHERE store = ? AND task_id = ? AND fence = ?"
_MOVE = "INSERT INTO event_cursors VALUES (?, ?) ON CONFLICT (store) DO UPDATE SET seq = excluded.seq"
_PUT_METRIC = "INSERT OR IGNORE INTO outgoing_metrics (store, metric_key, metric) VALUES (?, ?, ?)"
_DROP_OLD = """
DELETE FROM outgoing_metrics WHERE store = ?1 AND seq NOT IN (
    SELECT seq FROM outgoing_metrics WHERE store = ?1 ORDER BY seq DESC LIMIT ?2)
"""


class SqliteOutbox:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def put(self, deed: Deed) -> None:
        await self._execute(_PUT, deed.store, deed.task_id, deed.fence, document(deed))

    async def deeds(self, store: str, limit: int = 100) -> Sequence[Deed]:
        statement = "SELECT deed FROM outbox WHERE store = ? ORDER BY seq LIMIT ?"
        return [read_document(_DEEDS, text) for text in await self._texts(statement, store, limit)]

    async def settle(self, deed: Deed, told: Sequence[BusEvent] = ()) -> None:
        def both(connection: sqlite3.Connection) -> None:
            connection.execute(_SETTLE, (deed.store, deed.task_id, deed.fence))
            events.append(connection, told)

        await self._database.write(both)

    async def keep_task(self, run_id: str, task: Task) -> None:
        await self._execute("INSERT OR REPLACE INTO kept_tasks VALUES (?, ?)", run_id, document(task))

    async def kept_task(self, run_id: str) -> Task | None:
        texts = await self._texts("SELECT task FROM kept_tasks WHERE run_id = ?", run_id)
        return read_document(_TASKS, texts[0]) if texts else None

    async def forget_task(self, run_id: str) -> None:
        await self._execute("DELETE FROM kept_tasks WHERE run_id = ?", run_id)

    async def cursor(self, store: str) -> int:
        def work(connection: sqlite3.Connection) -> int:
            row = connection.execute("SELECT seq FROM event_cursors WHERE store = ?", (store,)).fetchone()
            return row["seq"] if row else 0

        return await self._database.read(work)

    async def move_cursor(self, store: str, seq: int) -> None:
        await self._execute(_MOVE, store, seq)

    async def put_metric(self, store: str, metric: Metric, keep: int) -> None:
        def work(connection: sqlite3.Connection) -> None:
            connection.execute(_PUT_METRIC, (store, metric.metric_key, document(metric)))
            connection.execute(_DROP_OLD, (store, keep))

        await self._database.write(work)

    async def metrics(self, store: str, limit: int = 100) -> Sequence[Metric]:
        statement = "SELECT metric FROM outgoing_metrics WHERE store = ? ORDER BY seq LIMIT ?"
        return [read_document(_METRICS, text) for text in await self._texts(statement, store, limit)]

    async def settle_metrics(self, store: str, metrics: Sequence[Metric]) -> None:
        told = [(store, metric.metric_key) for metric in metrics]
        statement = "DELETE FROM outgoing_metrics WHERE store = ? AND metric_key = ?"
        await self._database.write(lambda c: c.executemany(statement, told))

    async def _execute(self, statement: str, *values: object) -> None:
        await self._database.write(lambda c: c.execute(statement, values))

    async def _texts(self, statement: str, *values: object) -> list[str]:
        return await self._database.read(lambda c: [row[0] for row in c.execute(statement, values)])
