"""/internal: for this machine's own programs, and for the hooks of its agents."""

from __future__ import annotations

import asyncio
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from ccm_orchestrator.api.guards import Asker, HookRoute, InternalRoute
from ccm_orchestrator.api.injection import Services
from ccm_orchestrator.api.schemas import KillInput, SpawnInput
from ccm_orchestrator.api.task_schemas import AgentOutput, TaskOutput
from ccm_orchestrator.api.tasks import IdempotencyKey, submit
from ccm_orchestrator.security.local import presented_token

router = APIRouter(prefix="/internal", tags=["internal"], route_class=InternalRoute)
hooks = APIRouter(prefix="/internal/hooks", tags=["internal"], route_class=HookRoute)


@router.post("/spawn-agent", status_code=202)
async def spawn_agent(
    services: Services, caller: Asker, body: SpawnInput, idempotency_key: IdempotencyKey = None
) -> TaskOutput:
    """Stores a task; its agent is started as soon as the machine has room."""
    return TaskOutput.of((await submit(services, caller, body, "internal", idempotency_key)).task)


@router.post("/kill-agent", status_code=202)
async def kill_agent(services: Services, body: KillInput) -> TaskOutput:
    """Cancels the agent's task and ends the agent, patiently or now."""
    return TaskOutput.of(await services.control.stop_agent(body.agent, body.kill))


@router.get("/agent-status")
async def agent_status(services: Services, agent: str | None = None) -> list[AgentOutput]:
    """The agent that is named, with the explanation of its state; all that live, when none is."""
    if agent is None:
        return [AgentOutput.of(status) for status in await services.control.agents()]
    return [AgentOutput.of(await services.control.agent(agent), await services.control.explain(agent))]


@hooks.post("/{run_id}/permission", responses={204: {"description": "No answer: the agent was answered elsewhere."}})
async def hold_permission(services: Services, run_id: str, body: dict[str, Any], request: Request) -> Response:
    """Held until somebody decides. Its answer is what the agent's own CLI expects of the hook."""
    token = presented_token(request.scope)
    hung_up = asyncio.ensure_future(_hang_up(request))
    stopping = asyncio.ensure_future(services.stopping.wait())
    held = asyncio.ensure_future(services.control.hold_permission(run_id, token, body, hung_up))
    try:
        await asyncio.wait({held, stopping}, return_when=asyncio.FIRST_COMPLETED)
        answer = held.result() if held.done() else None
    finally:
        for waiter in (hung_up, stopping, held):
            waiter.cancel()
    return Response(status_code=204) if answer is None else JSONResponse(answer)


async def _hang_up(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
