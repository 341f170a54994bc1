"""Opens and closes incidents, and tells of both."""

from __future__ import annotations

from dataclasses import dataclass

from ccm_orchestrator.domain.events import BusEvent, EventKind
from ccm_orchestrator.domain.incidents import Incident, IncidentKind, Trouble
from ccm_orchestrator.engine.bus import Bus
from ccm_orchestrator.ports.incidents import IncidentStore
from ccm_orchestrator.ports.world import Clock


@dataclass(frozen=True)
class IncidentBook:
    """Every operation raises: StoreError."""

    store: IncidentStore
    bus: Bus
    clock: Clock

    async def open(self, trouble: Trouble) -> Incident:
        """Told only when it is new."""
        incident = await self.store.open(trouble, self.clock.now())
        if incident.attempts == 1:
            await self._tell(EventKind.INCIDENT_OPENED, incident)
        return incident

    async def close(self, kind: IncidentKind, subject: str, by: str) -> None:
        incident = await self.store.close(kind, subject, self.clock.now(), by)
        if incident is not None:
            await self._tell(EventKind.INCIDENT_RECOVERED, incident)

    async def _tell(self, kind: EventKind, incident: Incident) -> None:
        trouble = incident.trouble
        data = {
            "incident": incident.seq,
            "kind": trouble.kind.value,
            "subject": trouble.subject,
            "detail": trouble.detail,
            "recovered_by": incident.recovered_by,
        }
        await self.bus.publish(BusEvent(kind, self.clock.now(), data=data))
