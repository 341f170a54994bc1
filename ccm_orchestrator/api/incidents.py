"""/api/incidents: what went wrong on this machine, from its detection to its recovery."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Self

from fastapi import APIRouter, Query
from pydantic import Field

from ccm_orchestrator.api.guards import TokenRoute, needs
from ccm_orchestrator.api.injection import Services
from ccm_orchestrator.api.paging import Pager
from ccm_orchestrator.api.schemas import MAX_SEQ, Output
from ccm_orchestrator.domain.caller import Scope
from ccm_orchestrator.domain.incidents import Incident, IncidentKind
from ccm_orchestrator.ports.incidents import IncidentQuery

router = APIRouter(prefix="/api", tags=["incidents"], route_class=TokenRoute)


class IncidentOutput(Output):
    seq: int
    kind: IncidentKind
    subject: str = Field(description="What it happened to: a machine, a store, a task.")
    detail: str
    detected_by: str
    run_ids: list[str]
    opened_at: datetime
    attempts: int = Field(description="How often it happened while it was open; what only lasts counts once.")
    recovered_at: datetime | None = Field(description="None: it is open.")
    recovered_by: str | None

    @classmethod
    def of(cls, incident: Incident) -> Self:
        trouble = incident.trouble
        return cls(
            seq=incident.seq,
            kind=trouble.kind,
            subject=trouble.subject,
            detail=trouble.detail,
            detected_by=trouble.detected_by,
            run_ids=list(trouble.run_ids),
            opened_at=incident.opened_at,
            attempts=incident.attempts,
            recovered_at=incident.recovered_at,
            recovered_by=incident.recovered_by,
        )


class IncidentPage(Output):
    items: list[IncidentOutput]
    next_before: int | None = Field(description="Pass it as `before` to read on; None at the end.")


@router.get("/incidents")
@needs(Scope.ADMIN)
async def list_incidents(
    services: Services,
    pager: Pager,
    open_only: Annotated[bool, Query(description="Without those that are over.")] = False,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
    before: Annotated[int | None, Query(ge=0, le=MAX_SEQ, description="`next_before` of the page before.")] = None,
) -> IncidentPage:
    """Newest first."""
    found = await services.incidents.incidents(IncidentQuery(open_only, limit + 1, before))
    shown = found[:limit]
    if len(found) > limit:
        pager.goes_on(before=shown[-1].seq)
    items = [IncidentOutput.of(incident) for incident in shown]
    return IncidentPage(items=items, next_before=shown[-1].seq if len(found) > limit else None)
