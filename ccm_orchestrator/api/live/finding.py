"""From what a listener calls it to whom it follows."""

from __future__ import annotations

from ccm_orchestrator.api.access import visible_agent, visible_task
from ccm_orchestrator.api.live.conversations import Conversation, OneSession, OneStanding
from ccm_orchestrator.api.live.subjects import OneRun, OneTask, Subject
from ccm_orchestrator.api.services import ApiServices
from ccm_orchestrator.domain.caller import Caller
from ccm_orchestrator.errors import NotFound, RunNotFound


async def subject_of(services: ApiServices, caller: Caller, ref: str) -> Subject:
    """By name or id of a standing agent, id of a session, agent name, run id, task id, id of a conversation, or a
    unique prefix of an agent's or a task's.

    Raises: RunNotFound when there is no such thing, or not for this caller.
    """
    standing = await services.standing.lookup(ref, caller.owner)
    if standing is not None:
        return OneStanding(services, caller, standing.session_id, name=standing.name)
    if await _is_session(services, caller, ref):
        return OneSession(services, caller, ref)
    try:
        run = (await visible_agent(services, caller, ref)).run
    except RunNotFound as error:
        return await _conversation_or_task(services, caller, ref, error)
    return OneTask(run.task_id) if run.task_id == ref else OneRun(run.run_id, run.name)


async def _is_session(services: ApiServices, caller: Caller, ref: str) -> bool:
    try:
        return caller.sees((await services.sessions.store.get(ref)).owner)
    except NotFound:
        return False


async def _conversation_or_task(services: ApiServices, caller: Caller, ref: str, missing: RunNotFound) -> Subject:
    conversation = Conversation(services, caller, ref)
    try:
        await conversation.agent()
    except RunNotFound:
        try:
            return OneTask((await visible_task(services, caller, ref)).task_id)
        except NotFound:
            raise missing from None
    return conversation
