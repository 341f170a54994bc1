"""/api/agents: look at agents and talk to them."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from ccm_orchestrator.api.access import visible_agent
from ccm_orchestrator.api.guards import Asker, TokenRoute, needs
from ccm_orchestrator.api.schemas import MessageInput, MessageOutput, ScreenOutput
from ccm_orchestrator.api.services import Services
from ccm_orchestrator.api.task_schemas import AgentOutput, TaskOutput
from ccm_orchestrator.domain.caller import Scope
from ccm_orchestrator.ports.journal import RunQuery

router = APIRouter(prefix="/api", tags=["agents"], route_class=TokenRoute)


@router.get("/agents")
async def list_agents(
    services: Services,
    caller: Asker,
    ended: Annotated[bool, Query(description="Also those that have ended.")] = False,
    task_id: str | None = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
) -> list[AgentOutput]:
    """Newest first."""
    query = RunQuery(open_only=not ended, task_id=task_id, limit=limit, owner=caller.owner)
    return [AgentOutput.of(status) for status in await services.control.agents(query)]


@router.get("/agents/{agent}")
async def get_agent(services: Services, caller: Asker, agent: str) -> AgentOutput:
    """By agent name (`ccm-1f3c9a2b`), run id, task id, or a unique prefix."""
    return AgentOutput.of(await visible_agent(services, caller, agent))


@router.get("/agents/{agent}/state")
async def get_agent_state(services: Services, caller: Asker, agent: str, explain: bool = False) -> AgentOutput:
    """With `explain=1`: since when, on which evidence, how old that is, and a sentence that says so."""
    status = await visible_agent(services, caller, agent)
    return AgentOutput.of(status, await services.control.explain(status.run.run_id) if explain else None)


@router.get("/agents/{agent}/screen")
async def get_agent_screen(
    services: Services,
    caller: Asker,
    agent: str,
    history_lines: Annotated[int, Query(ge=0, le=10_000)] = 0,
    styled: bool = False,
) -> ScreenOutput:
    """What a person would see in its window, with escape sequences if `styled`."""
    run = (await visible_agent(services, caller, agent)).run
    text = await services.control.screen(run.run_id, history_lines, styled)
    return ScreenOutput(agent=run.name, run_id=run.run_id, text=text)


@router.post("/agents/{agent}/stop", status_code=202)
@needs(Scope.CONTROL)
async def stop_agent(services: Services, caller: Asker, agent: str) -> TaskOutput:
    """Cancels its task, which ends the agent."""
    run = (await visible_agent(services, caller, agent)).run
    return TaskOutput.of(await services.control.stop_agent(run.run_id))


@router.get("/agents/{agent}/messages")
async def list_messages(services: Services, caller: Asker, agent: str) -> list[MessageOutput]:
    """Oldest first, with their receipts."""
    run = (await visible_agent(services, caller, agent)).run
    return [MessageOutput.of(message) for message in await services.control.messages(run.run_id)]


@router.post("/agents/{agent}/messages", status_code=202)
@needs(Scope.CONTROL)
async def send_message(services: Services, caller: Asker, agent: str, body: MessageInput) -> MessageOutput:
    """Queued: it is typed as soon as no dialog can be open, and its status tells what became of it."""
    run = (await visible_agent(services, caller, agent)).run
    return MessageOutput.of(await services.control.send(run.run_id, body.text))
