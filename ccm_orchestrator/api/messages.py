"""/api/agents/{agent}/messages: to runs and to standing agents, with receipts."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Header, Query

from ccm_orchestrator.api.access import visible_agent
from ccm_orchestrator.api.guards import Asker, TokenRoute, needs
from ccm_orchestrator.api.injection import Services
from ccm_orchestrator.api.message_schemas import LONGEST_WAIT_S, MessageInput, MessageOutput
from ccm_orchestrator.api.paging import Before, Pager
from ccm_orchestrator.api.services import ApiServices
from ccm_orchestrator.domain import refusals
from ccm_orchestrator.domain.caller import Caller, Scope
from ccm_orchestrator.domain.dialogue import Message
from ccm_orchestrator.domain.made_ids import of_key
from ccm_orchestrator.domain.run import Run
from ccm_orchestrator.engine.awaiting import awaited
from ccm_orchestrator.errors import InputError, WrongStatus

router = APIRouter(prefix="/api", tags=["agents"], route_class=TokenRoute)

MOST_KEPT = 10_000
"""So many of a standing agent's messages can be read back."""
IdempotencyKey = Annotated[
    str | None,
    Header(
        min_length=1,
        max_length=255,
        description="Repeating a request with the same key gives the message that the first one sent.",
    ),
]
WaitQuery = Annotated[
    float, Query(ge=0, le=LONGEST_WAIT_S, description="Seconds that its answer may be waited for; 0: not at all.")
]


@router.get("/agents/{agent}/messages")
async def list_messages(
    services: Services,
    caller: Asker,
    pager: Pager,
    agent: str,
    before: Before = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 500,
) -> list[MessageOutput]:
    """The newest (further pages have older ones), oldest first, with their receipts."""
    standing = await services.standing.lookup(agent, caller.owner)
    if standing is not None:
        sent = await services.standing.messages(standing, MOST_KEPT)
        sent = pager.part(sent[::-1], lambda message: message.message_id, before, limit, "before")
        return [MessageOutput.of_standing(message, standing) for message in reversed(sent)]
    run = (await visible_agent(services, caller, agent)).run
    newest = (await services.control.messages(run.run_id))[::-1]
    messages = pager.part(newest, lambda message: message.message_id, before, limit, "before")
    return [MessageOutput.of_run(message, run) for message in reversed(messages)]


@router.get("/agents/{agent}/messages/{message_id}")
async def get_message(
    services: Services, caller: Asker, agent: str, message_id: str, wait_s: WaitQuery = 0.0
) -> MessageOutput:
    """With its receipt; with `wait_s`, as soon as nothing more will become of it."""
    standing = await services.standing.lookup(agent, caller.owner)
    if standing is not None:
        sent = await services.standing.message(standing, message_id)
        return MessageOutput.of_standing(await services.standing.settled(sent, wait_s) if wait_s else sent, standing)
    run = (await visible_agent(services, caller, agent)).run
    return MessageOutput.of_run(await _settled(services, run, message_id, wait_s), run)


@router.post("/agents/{agent}/messages", status_code=202)
@needs(Scope.CONTROL)
async def send_message(
    services: Services, caller: Asker, agent: str, body: MessageInput, idempotency_key: IdempotencyKey = None
) -> MessageOutput:
    """Queued: it is typed as soon as no dialog can be open, and its status tells what became of it. A standing agent
    without a process gets one, which goes on with the conversation."""
    standing = await services.standing.lookup(agent, caller.owner)
    if standing is not None:
        message_id = chosen_id(standing.agent_id, idempotency_key)
        queued = await services.standing.send(standing, body.text, body.model, message_id)
        sent = await services.standing.settled(queued, body.wait_s) if body.wait_s else queued
        return MessageOutput.of_standing(sent, standing)
    run, message = await _send_to_run(services, caller, agent, body, idempotency_key)
    return MessageOutput.of_run(await _settled(services, run, message.message_id, body.wait_s), run)


async def _send_to_run(
    services: ApiServices, caller: Caller, agent: str, body: MessageInput, key: str | None
) -> tuple[Run, Message]:
    run = (await visible_agent(services, caller, agent)).run
    if body.model is not None:
        raise InputError(f"{run.name} is a run, whose model is that of its task: leave `model` out.")
    message = await services.control.send(run.run_id, body.text, chosen_id(run.run_id, key))
    if message.text != body.text and key is not None:
        raise WrongStatus("The Idempotency-Key was used for another message.", message_id=message.message_id)
    return run, message


async def _settled(services: ApiServices, run: Run, message_id: str, wait_s: float) -> Message:
    async def look() -> Message:
        for message in await services.control.messages(run.run_id):
            if message.message_id == message_id:
                return message
        raise refusals.message_not_found(message_id)

    if not wait_s:
        return await look()
    return await awaited(services.bus, look, lambda message: message.status.final, wait_s, services.stopping)


def chosen_id(agent_id: str, key: str | None) -> str | None:
    """The key becomes the message's id, so that a repeated request finds it."""
    return of_key(key, "message", agent_id)
