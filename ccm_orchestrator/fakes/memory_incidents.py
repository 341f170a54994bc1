"""A book of incidents in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from ccm_orchestrator.domain.incidents import Change, Closing, Incident, Key, Opening, event_of
from ccm_orchestrator.fakes.memory_journal import MemoryEventStore
from ccm_orchestrator.ports.incidents import IncidentQuery


class MemoryIncidentStore:
    def __init__(self, events: MemoryEventStore | None = None) -> None:
        self._events = events or MemoryEventStore()
        self._incidents: dict[int, Incident] = {}
        self._last_seq = 0
        self._cursor: int | None = None

    async def apply(self, changes: Sequence[Change], cursor: int | None = None) -> Sequence[Incident]:
        if cursor is not None:
            self._cursor = max(cursor, self._cursor or 0)
        told = []
        for change in changes:
            incident = self._open(change) if isinstance(change, Opening) else self._close(change)
            if incident is not None:
                told.append(incident)
                await self._events.append([event_of(incident, isinstance(change, Opening) and change.told)])
        return told

    async def cursor(self) -> int | None:
        return self._cursor

    async def incidents(self, query: IncidentQuery) -> Sequence[Incident]:
        found = [
            incident
            for incident in reversed(self._incidents.values())
            if (incident.is_open or not query.open_only) and (query.before is None or incident.seq < query.before)
        ]
        return found[: query.limit]

    async def prune(self, before: datetime) -> int:
        kept = {i.seq: i for i in self._incidents.values() if i.recovered_at is None or i.recovered_at >= before}
        removed = len(self._incidents) - len(kept)
        self._incidents = kept
        return removed

    def _open(self, change: Opening) -> Incident | None:
        trouble, known = change.trouble, self._open_one(change.key)
        if known is None:
            self._last_seq += 1
            return self._put(Incident(self._last_seq, trouble, change.at))
        runs = tuple(dict.fromkeys((*known.trouble.run_ids, *trouble.run_ids)))
        kept = replace(known.trouble, detail=trouble.detail, run_ids=runs)
        self._put(replace(known, trouble=kept, attempts=known.attempts + 1))
        return None

    def _close(self, change: Closing) -> Incident | None:
        known = self._open_one(change.key)
        return None if known is None else self._put(replace(known, recovered_at=change.at, recovered_by=change.by))

    def _open_one(self, key: Key) -> Incident | None:
        return next((i for i in self._incidents.values() if i.is_open and i.trouble.key == key), None)

    def _put(self, incident: Incident) -> Incident:
        self._incidents[incident.seq] = incident
        return incident
