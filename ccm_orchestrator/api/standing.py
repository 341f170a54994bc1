"""/api/agents, /api/chat: standing agents, whose conversation outlives their processes."""

from __future__ import annotations

from fastapi import APIRouter

from ccm_orchestrator.api.auditing import Noted
from ccm_orchestrator.api.guards import Asker, TokenRoute, needs
from ccm_orchestrator.api.injection import Services
from ccm_orchestrator.api.messages import IdempotencyKey, chosen_id
from ccm_orchestrator.api.services import ApiServices
from ccm_orchestrator.api.snapshots import standing_snapshot
from ccm_orchestrator.api.standing_schemas import (
    ChatInput,
    ChatOutput,
    StandingAgentChange,
    StandingAgentInput,
    StandingAgentOutput,
)
from ccm_orchestrator.domain.caller import Caller, Scope
from ccm_orchestrator.domain.dialogue import problem_with_message
from ccm_orchestrator.domain.standing_agent import StandingAgent
from ccm_orchestrator.engine.standing_agents import NewStandingAgent
from ccm_orchestrator.errors import Forbidden, InputError

router = APIRouter(prefix="/api", tags=["standing agents"], route_class=TokenRoute)


@router.post("/agents", status_code=201)
@needs(Scope.SUBMIT)
async def create_agent(services: Services, caller: Asker, body: StandingAgentInput) -> StandingAgentOutput:
    """It has no process before its first message."""
    if body.message is not None and (problem := problem_with_message(body.message)):
        raise InputError(problem)
    agent = await services.standing.create(body.agent(caller.owner))
    if body.message is not None:
        await services.standing.send(agent, body.message)
    return await shown(services, agent)


@router.post("/agents/{agent}/start", status_code=202)
@needs(Scope.CONTROL)
async def start_agent(services: Services, caller: Asker, agent: str) -> StandingAgentOutput:
    """It takes messages again; one that failed tries again."""
    return await shown(services, await services.standing.start(await services.standing.find(agent, caller.owner)))


@router.patch("/agents/{agent}")
@needs(Scope.CONTROL)
async def change_agent(
    services: Services, caller: Asker, agent: str, body: StandingAgentChange, note: Noted
) -> StandingAgentOutput:
    """Changes a standing agent, from its next process on; the next message begins that as soon as it rests."""
    found = await services.standing.find(agent, caller.owner)
    note.target, note.before = f"/api/agents/{found.agent_id}", standing_snapshot(found)
    changed = await services.standing.change(found, body.changes())
    note.after = dict(standing_snapshot(changed))
    return await shown(services, changed)


@router.delete("/agents/{agent}", status_code=202)
@needs(Scope.CONTROL)
async def delete_agent(services: Services, caller: Asker, agent: str) -> StandingAgentOutput:
    """Ends it for good and removes its directory, unless that holds work that is nowhere else. Its branch stays while
    it has commits of its own."""
    return await shown(services, await services.standing.delete(await services.standing.find(agent, caller.owner)))


@router.post("/chat")
@needs(Scope.CONTROL)
async def chat(
    services: Services, caller: Asker, body: ChatInput, idempotency_key: IdempotencyKey = None
) -> ChatOutput:
    """Says something to a standing agent and waits for the answer; the agent is made when it is not there yet."""
    agent = await services.standing.lookup(body.agent, caller.owner) or await _made(services, caller, body)
    message_id = chosen_id(agent.agent_id, idempotency_key)
    sent = await services.standing.send(agent, body.message, body.model, message_id)
    message = await services.standing.settled(sent, body.wait_s) if body.wait_s else sent
    return ChatOutput(
        agent=agent.name,
        session_id=agent.session_id,
        message_id=message.message_id,
        status=message.status,
        reply=message.answer,
        detail=message.detail,
    )


async def _made(services: ApiServices, caller: Caller, body: ChatInput) -> StandingAgent:
    """Raises: Forbidden, when the caller may talk to agents and not begin any; what `create` raises."""
    if not caller.may(Scope.SUBMIT):
        raise Forbidden(f"There is no agent {body.agent!r}, and making it needs the scope `{Scope.SUBMIT}`.")
    profile = body.agent if body.agent in services.profiles else None
    return await services.standing.create(NewStandingAgent(body.agent, body.project, profile, caller.owner, body.model))


async def shown(services: ApiServices, agent: StandingAgent) -> StandingAgentOutput:
    return StandingAgentOutput.of(await services.standing.state(agent))
