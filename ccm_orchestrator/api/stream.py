"""/api/events: what happens, as server-sent events that a client resumes by Last-Event-ID."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request
from fastapi.responses import StreamingResponse

from ccm_orchestrator.api.access import EventSight, visible_agent, visible_task
from ccm_orchestrator.api.guards import Asker, TokenRoute
from ccm_orchestrator.api.injection import Services
from ccm_orchestrator.api.live.cursors import Start, start
from ccm_orchestrator.api.live.feed import Feed, Told
from ccm_orchestrator.api.live.streaming import HEARTBEAT, EventStream, beating
from ccm_orchestrator.api.schemas import MAX_SEQ
from ccm_orchestrator.api.services import ApiServices

router = APIRouter(prefix="/api", tags=["stream"], route_class=TokenRoute)

RECONNECT_MS = 2000
CHUNK_BYTES = 64_000
"""What is handed over at once, and so what is kept of a client that does not read."""


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
    request: Request,
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
    chosen = Chosen(EventSight(services, caller), task_id, run_id)
    frames = _frames(services, request.app.state.feed, chosen, await start(services.events, wanted))
    return EventStream(frames)


@dataclass(frozen=True, slots=True)
class Chosen:
    """The events that a client wants, and may see."""

    sight: EventSight
    task_id: str | None
    run_id: str | None

    async def of(self, batch: Sequence[Told]) -> list[Told]:
        if self.task_id is None and self.run_id is None and self.sight.unlimited:
            return list(batch)
        return [told for told in batch if await self._includes(told)]

    async def _includes(self, told: Told) -> bool:
        event = told.stored.event
        wanted = self.task_id in (None, event.task_id) and self.run_id in (None, event.run_id)
        return wanted and await self.sight.sees(told.stored)


async def _frames(services: ApiServices, feed: Feed, chosen: Chosen, begin: Start) -> AsyncGenerator[str | bytes, None]:
    """Frames until the client goes or the server stops; a heartbeat whenever nothing else was sent for long."""
    yield _opening(begin)
    heartbeat_s = services.options.heartbeat_s
    follow = _chosen(feed, begin.cursor, chosen, heartbeat_s)
    stopping: asyncio.Future[Any] = asyncio.ensure_future(services.stopping.wait())
    try:
        async with aclosing(beating(follow, stopping, heartbeat_s)) as batches:
            async for batch in batches:
                for chunk in (HEARTBEAT,) if batch is None else _chunks(batch):
                    yield chunk
    finally:
        stopping.cancel()


async def _chosen(feed: Feed, cursor: int, chosen: Chosen, idle_s: float) -> AsyncGenerator[Sequence[Told], None]:
    """Batches that are not empty."""
    async with aclosing(feed.follow(cursor, idle_s, chosen.task_id, chosen.run_id)) as batches:
        async for batch in batches:
            if wanted := await chosen.of(batch):
                yield wanted


def _chunks(batch: Sequence[Told]) -> list[bytes]:
    """Few, and none of them much larger than it has to be."""
    chunks = [b""]
    for told in batch:
        if len(chunks[-1]) + len(told.sse) > CHUNK_BYTES and chunks[-1]:
            chunks.append(b"")
        chunks[-1] += told.sse
    return chunks


def _opening(begin: Start) -> str:
    """Tells the cursor at once: a connection that breaks before the first event is resumed from there."""
    retry = f"retry: {RECONNECT_MS}\n"
    if begin.resync is None:
        return f"{retry}id: {begin.cursor}\n\n"
    return f"{retry}\nid: {begin.cursor}\nevent: resync\ndata: {json.dumps(begin.resync)}\n\n"
