"""The outbox in memory."""

from __future__ import annotations

from collections.abc import Sequence

from ccm_orchestrator.domain.events import BusEvent
from ccm_orchestrator.domain.task import LeaseKey, Task
from ccm_orchestrator.ports.journal import EventStore
from ccm_orchestrator.ports.outbox import Deed, Metric


class MemoryOutbox:
    def __init__(self, events: EventStore) -> None:
        self._events = events
        self._deeds: dict[tuple[str, LeaseKey], Deed] = {}
        self._tasks: dict[str, Task] = {}
        self._cursors: dict[str, int] = {}
        self._metrics: dict[tuple[str, str], Metric] = {}

    async def put(self, deed: Deed) -> None:
        self._deeds.setdefault((deed.store, deed.key), deed)

    async def deeds(self, store: str, limit: int = 100) -> Sequence[Deed]:
        return [deed for deed in list(self._deeds.values()) if deed.store == store][:limit]

    async def settle(self, deed: Deed, told: Sequence[BusEvent] = ()) -> None:
        self._deeds.pop((deed.store, deed.key), None)
        await self._events.append(told)

    async def keep_task(self, run_id: str, task: Task) -> None:
        self._tasks[run_id] = task

    async def kept_task(self, run_id: str) -> Task | None:
        return self._tasks.get(run_id)

    async def forget_task(self, run_id: str) -> None:
        self._tasks.pop(run_id, None)

    async def cursor(self, store: str) -> int:
        return self._cursors.get(store, 0)

    async def move_cursor(self, store: str, seq: int) -> None:
        self._cursors[store] = seq

    async def put_metric(self, store: str, metric: Metric, keep: int) -> None:
        self._metrics.setdefault((store, metric.metric_key), metric)
        of_store = [key for key in self._metrics if key[0] == store]
        for key in of_store[: max(0, len(of_store) - keep)]:
            del self._metrics[key]

    async def metrics(self, store: str, limit: int = 100) -> Sequence[Metric]:
        return [metric for (name, _), metric in self._metrics.items() if name == store][:limit]

    async def settle_metrics(self, store: str, metrics: Sequence[Metric]) -> None:
        for metric in metrics:
            self._metrics.pop((store, metric.metric_key), None)
