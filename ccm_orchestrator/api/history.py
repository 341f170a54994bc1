"""/api/events/stored: what has happened, page by page."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from ccm_orchestrator.api.access import EventSight
from ccm_orchestrator.api.guards import Asker, TokenRoute
from ccm_orchestrator.api.injection import Services
from ccm_orchestrator.api.paging import Pager
from ccm_orchestrator.api.schemas import EventOutput, EventPage

router = APIRouter(prefix="/api", tags=["stream"], route_class=TokenRoute)

MOST_READS = 10
"""A page is not filled at any price: others' events are passed over, and `next_after` says how far."""


@router.get("/events/stored")
async def list_events(
    services: Services,
    caller: Asker,
    pager: Pager,
    after: Annotated[int, Query(ge=0, le=2**62, description="`next_after` of the page before.")] = 0,
    last: Annotated[int | None, Query(ge=0, le=1000, description="Only the last so many; wins over `after`.")] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 200,
) -> EventPage:
    """Oldest first. `/api/events` streams them, `/api/tasks/{task_id}/events` has those of one task."""
    if last is not None:
        after = max(await services.events.last_seq() - last, 0)
    sight = EventSight(services, caller)
    shown = list[EventOutput]()
    for _ in range(MOST_READS):
        stored = await services.events.read(after, limit)
        for event in stored:
            after = event.seq
            if await sight.sees(event):
                shown.append(EventOutput.of(event))
            if len(shown) == limit:
                break
        if len(shown) == limit or len(stored) < limit:
            break
    if limit in (len(shown), len(stored)):
        pager.goes_on(after=after)
    return EventPage(items=shown, next_after=after)
