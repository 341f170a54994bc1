"""What this machine tells beside its tasks' outcomes: their events, and its own figures."""

from __future__ import annotations

from collections.abc import Sequence

from ccm_orchestrator.adapters.supabase.client import RestClient
from ccm_orchestrator.domain.events import StoredEvent
from ccm_orchestrator.ports.outbox import Metric

BATCH = 200


class SupabaseReports:
    """Implements the port `Reports`: whatever is told twice is stored once, by its key."""

    def __init__(self, client: RestClient, system_id: str) -> None:
        self._client = client
        self._system_id = system_id

    async def report_events(self, events: Sequence[StoredEvent]) -> None:
        await self._send("append_task_events", "p_events", [_event_entry(stored) for stored in events])

    async def report_metrics(self, metrics: Sequence[Metric]) -> None:
        entries = [{"metric_key": metric.metric_key, "at": metric.at, "data": metric.data} for metric in metrics]
        await self._send("record_metrics", "p_metrics", entries)

    async def _send(self, function: str, name: str, entries: Sequence[object]) -> None:
        for start in range(0, len(entries), BATCH):
            batch = entries[start : start + BATCH]
            await self._client.rpc(function, {"p_system_id": self._system_id, name: batch})


def _event_entry(stored: StoredEvent) -> object:
    event = stored.event
    return {
        # numbers begin anew with a new state directory, so the time is part of the key
        "event_key": f"{stored.seq}@{event.at.timestamp():.6f}",
        "task_id": event.task_id,
        "run_id": event.run_id,
        "kind": event.kind,
        "at": event.at,
        "data": event.data,
    }
