"""/api/events: what happens, as server-sent events that a client resumes by Last-Event-ID."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Header, Query
from fastapi.responses import StreamingResponse

from ccm_orchestrator.api.access import EventSight, visible_agent, visible_task
from ccm_orchestrator.api.guards import Asker, TokenRoute
from ccm_orchestrator.api.live.cursors import Start, start
from ccm_orchestrator.api.schemas import MAX_SEQ, EventOutput
from ccm_orchestrator.api.services import ApiServices, Services
from ccm_orchestrator.domain.events import StoredEvent

router = APIRouter(prefix="/api", tags=["stream"], route_class=TokenRoute)

RECONNECT_MS = 2000
HEARTBEAT = ": still here\n\n"
T = TypeVar("T")


@router.get(
    "/events",
    response_class=StreamingResponse,
    responses={
        200: {
            "description": "`id` is the cursor, `event` the kind, `data` an EventOutput. A `resync` event says that "
            "the cursor is not kept any more: fetch the state anew; the stream goes on from its own `id`.",
            "content": {"text/event-stream": {"schema": {"type": "string"}}},
        }
    },
)
async def stream_events(
    services: Services,
    caller: Asker,
    task_id: str | None = None,
    run_id: str | None = None,
    after: Annotated[
        int | None,
        Query(
            ge=0,
            le=MAX_SEQ,
            description="Start after this cursor; 0: with all that is kept; None: with what comes now.",
        ),
    ] = None,
    last_event_id: Annotated[
        int | None, Header(ge=0, le=MAX_SEQ, description="Sent by clients that reconnect; wins.")
    ] = None,
) -> StreamingResponse:
    wanted = last_event_id if last_event_id is not None else after
    if task_id is not None:
        task_id = (await visible_task(services, caller, task_id)).task_id
    if run_id is not None:
        run_id = (await visible_agent(services, caller, run_id)).run.run_id
    begin = await start(services.events, wanted)
    follow = services.bus.follow(begin.cursor, task_id, run_id, services.options.heartbeat_s)
    seen = _seen(EventSight(services, caller), follow)
    return StreamingResponse(_frames(services, _opening(begin), seen), media_type="text/event-stream")


def _opening(begin: Start) -> str:
    """Tells the cursor at once: a connection that breaks before the first event is resumed from there."""
    retry = f"retry: {RECONNECT_MS}\n"
    if begin.resync is None:
        return f"{retry}id: {begin.cursor}\n\n"
    return f"{retry}\nid: {begin.cursor}\nevent: resync\ndata: {json.dumps(begin.resync)}\n\n"


async def _seen(
    sight: EventSight, follow: AsyncIterator[StoredEvent | None]
) -> AsyncGenerator[StoredEvent | None, None]:
    """Without what belongs to others."""
    async for stored in follow:
        if stored is None or await sight.sees(stored):
            yield stored


async def _frames(
    services: ApiServices, opening: str, follow: AsyncIterator[StoredEvent | None]
) -> AsyncGenerator[str, None]:
    """Frames until the client goes or the server stops; a heartbeat whenever nothing else was sent for long."""
    stopping: asyncio.Future[Any] = asyncio.ensure_future(services.stopping.wait())
    try:
        yield opening
        async with aclosing(beating(follow, stopping, services.options.heartbeat_s)) as events:
            async for stored in events:
                yield HEARTBEAT if stored is None else _frame(stored)
    finally:
        stopping.cancel()


async def beating(
    follow: AsyncIterator[T], stopping: asyncio.Future[Any], heartbeat_s: float
) -> AsyncGenerator[T | None, None]:
    """What comes, and None whenever nothing did for long, until there is no more or `stopping` is done.

    Its own clock: events that a filter leaves out wake `follow` without making it yield.
    """
    upcoming: asyncio.Future[Any] = asyncio.ensure_future(anext(follow))
    try:
        while not stopping.done():
            await asyncio.wait({upcoming, stopping}, timeout=heartbeat_s, return_when=asyncio.FIRST_COMPLETED)
            if upcoming.done():
                try:
                    item = upcoming.result()
                except StopAsyncIteration:
                    return
                upcoming = asyncio.ensure_future(anext(follow))
                yield item
            elif not stopping.done():
                yield None
    finally:
        upcoming.cancel()
        await asyncio.wait({upcoming})  # its cursor is closed before this generator is


def _frame(stored: StoredEvent) -> str:
    data = EventOutput.of(stored).model_dump_json()
    return f"id: {stored.seq}\nevent: {stored.event.kind.value}\ndata: {data}\n\n"
