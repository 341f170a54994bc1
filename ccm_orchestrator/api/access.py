"""What a caller may see. What belongs to another user does not exist for it: 404, never 403."""

from __future__ import annotations

from ccm_orchestrator.api.services import ApiServices
from ccm_orchestrator.domain import refusals
from ccm_orchestrator.domain.caller import Caller
from ccm_orchestrator.domain.dialogue import PermissionRequest
from ccm_orchestrator.domain.task import Task
from ccm_orchestrator.engine.control import AgentStatus


async def visible_task(services: ApiServices, caller: Caller, ref: str) -> Task:
    """By id or unique prefix. Raises: TaskNotFound."""
    task = (await services.queues.find(ref))[1]
    if not caller.sees(task.owner):
        raise refusals.task_not_found(ref)
    return task


async def visible_agent(services: ApiServices, caller: Caller, ref: str) -> AgentStatus:
    """By agent name, run id, task id or a unique prefix. Raises: RunNotFound."""
    status = await services.control.agent(ref)
    if not caller.sees(owner_of(status)):
        raise refusals.run_not_found(ref)
    return status


async def visible_permission(services: ApiServices, caller: Caller, request_id: str) -> PermissionRequest:
    """By id or unique prefix. Raises: PermissionNotFound."""
    request = await services.control.permission(request_id)
    if caller.owner is not None:
        status = await services.control.agent(request.run_id)
        if not caller.sees(owner_of(status)):
            raise refusals.permission_not_found(request_id)
    return request


def owner_of(status: AgentStatus) -> str | None:
    """The user for whom an agent works; None: the machine's own."""
    return status.task.owner if status.task else None
