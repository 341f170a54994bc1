"""A book of incidents in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from ccm_orchestrator.domain.incidents import Incident, IncidentKind, Trouble
from ccm_orchestrator.ports.incidents import IncidentQuery


class MemoryIncidentStore:
    def __init__(self) -> None:
        self._incidents: list[Incident] = []

    async def open(self, trouble: Trouble, at: datetime) -> Incident:
        known = self._open_one(trouble.kind, trouble.subject)
        if known is None:
            self._incidents.append(Incident(len(self._incidents) + 1, trouble, at))
            return self._incidents[-1]
        runs = tuple(dict.fromkeys((*known.trouble.run_ids, *trouble.run_ids)))
        kept = replace(known.trouble, detail=trouble.detail, run_ids=runs)
        return self._put(replace(known, trouble=kept, attempts=known.attempts + 1))

    async def close(self, kind: IncidentKind, subject: str, at: datetime, by: str) -> Incident | None:
        known = self._open_one(kind, subject)
        return None if known is None else self._put(replace(known, recovered_at=at, recovered_by=by))

    async def incidents(self, query: IncidentQuery) -> Sequence[Incident]:
        found = [
            incident
            for incident in reversed(self._incidents)
            if (incident.is_open or not query.open_only) and (query.before is None or incident.seq < query.before)
        ]
        return found[: query.limit]

    def _open_one(self, kind: IncidentKind, subject: str) -> Incident | None:
        same = (i for i in self._incidents if i.is_open and (i.trouble.kind, i.trouble.subject) == (kind, subject))
        return next(same, None)

    def _put(self, incident: Incident) -> Incident:
        self._incidents[incident.seq - 1] = incident
        return incident
