"""/api/events/stored: what has happened, page by page."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from ccm_orchestrator.api.guards import TokenRoute
from ccm_orchestrator.api.schemas import EventOutput, EventPage
from ccm_orchestrator.api.services import Services

router = APIRouter(prefix="/api", tags=["stream"], route_class=TokenRoute)


@router.get("/events/stored")
async def list_events(
    services: Services,
    after: Annotated[int, Query(ge=0, le=2**62, description="`next_after` of the page before.")] = 0,
    last: Annotated[int | None, Query(ge=0, le=1000, description="Only the last so many; wins over `after`.")] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 200,
) -> EventPage:
    """Oldest first. `/api/events` streams them, `/api/tasks/{task_id}/events` has those of one task."""
    if last is not None:
        after = max(await services.events.last_seq() - last, 0)
    stored = await services.events.read(after, limit)
    return EventPage(items=[EventOutput.of(event) for event in stored], next_after=stored[-1].seq if stored else after)
