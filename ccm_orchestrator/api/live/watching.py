"""/api/agents/{agent}/screen/stream: an agent's screen, as it changes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import StreamingResponse

from ccm_orchestrator.api.access import visible_agent
from ccm_orchestrator.api.guards import Asker, TokenRoute
from ccm_orchestrator.api.injection import Services
from ccm_orchestrator.api.live.screens import Screens, Seen
from ccm_orchestrator.api.live.streaming import HEARTBEAT, EventStream, beating
from ccm_orchestrator.api.services import ApiServices
from ccm_orchestrator.domain.run import Run
from ccm_orchestrator.engine.windows import window_of

router = APIRouter(prefix="/api", tags=["stream"], route_class=TokenRoute)


@router.get(
    "/agents/{agent}/screen/stream",
    response_class=StreamingResponse,
    responses={
        200: {
            "description": "`screen` events with a ScreenOutput: what the window shows, at first and at each change. "
            "`unavailable`: the terminal does not answer at the moment. `gone`: the window is closed, and the stream "
            "ends.",
            "content": {"text/event-stream": {"schema": {"type": "string"}}},
        }
    },
)
async def stream_agent_screen(
    request: Request, services: Services, caller: Asker, agent: str, styled: bool = False
) -> StreamingResponse:
    """With escape sequences if `styled`. To type there, open `/ws/{agent}?screen=true`."""
    run = (await visible_agent(services, caller, agent)).run
    window_of(run)
    return EventStream(_frames(services, request.app.state.screens, run, styled))


async def _frames(services: ApiServices, screens: Screens, run: Run, styled: bool) -> AsyncGenerator[str | bytes, None]:
    stopping: asyncio.Future[Any] = asyncio.ensure_future(services.stopping.wait())
    try:
        async with aclosing(beating(screens.follow(run, styled), stopping, services.options.heartbeat_s)) as looks:
            async for seen in looks:
                yield HEARTBEAT if seen is None else _frame(run, seen)
    finally:
        stopping.cancel()


def _frame(run: Run, seen: Seen) -> str:
    names = {"agent": run.name, "run_id": run.run_id}
    if seen.text is None:
        return f"event: {'gone' if seen.gone else 'unavailable'}\ndata: {json.dumps(names)}\n\n"
    return f"event: screen\ndata: {json.dumps(names | {'text': seen.text})}\n\n"
