"""What a caller may see. What belongs to another user does not exist for it: 404, never 403."""

from __future__ import annotations

from ccm_orchestrator.api.services import ApiServices
from ccm_orchestrator.domain import refusals
from ccm_orchestrator.domain.caller import Caller
from ccm_orchestrator.domain.dialogue import PermissionRequest
from ccm_orchestrator.domain.events import StoredEvent
from ccm_orchestrator.domain.task import Task
from ccm_orchestrator.engine.control import AgentStatus
from ccm_orchestrator.engine.queues import LOCAL
from ccm_orchestrator.errors import Forbidden, PermissionNotFound, RunNotFound, TaskNotFound

MOST_REMEMBERED = 10_000
"""Tasks whose owner a stream remembers."""


async def visible_task(services: ApiServices, caller: Caller, ref: str) -> Task:
    """By id or unique prefix. Raises: TaskNotFound."""
    try:
        task = (await services.queues.find(ref))[1]
    except TaskNotFound:
        if caller.owner is None:
            raise
        raise refusals.task_not_found(ref) from None  # that a prefix is ambiguous tells of others' tasks
    if not caller.sees(task.owner):
        raise refusals.task_not_found(ref)
    return task


async def visible_agent(services: ApiServices, caller: Caller, ref: str) -> AgentStatus:
    """By agent name, run id, task id or a unique prefix; of a standing agent the newest run. Raises: RunNotFound."""
    standing = await services.standing.lookup(ref, caller.owner)
    if standing is not None and standing.task_id is None:
        raise RunNotFound(f"The agent {standing.name} has no process before its first message.")
    try:
        status = await services.control.agent(standing.task_id if standing and standing.task_id else ref)
    except RunNotFound:
        if caller.owner is None:
            raise
        raise refusals.run_not_found(ref) from None
    if not caller.sees(owner_of(status)):
        raise refusals.run_not_found(ref)
    return status


async def visible_permission(services: ApiServices, caller: Caller, request_id: str) -> PermissionRequest:
    """By id or unique prefix. Raises: PermissionNotFound."""
    try:
        request = await services.control.permission(request_id)
    except PermissionNotFound:
        if caller.owner is None:
            raise
        raise refusals.permission_not_found(request_id) from None
    if caller.owner is not None:
        status = await services.control.agent(request.run_id)
        if not caller.sees(owner_of(status)):
            raise refusals.permission_not_found(request_id)
    return request


def require_own_store(caller: Caller, store: str) -> None:
    """A shared store knows its users by their own tokens, so this machine speaks for none. Raises: Forbidden."""
    if caller.owner is not None and store != LOCAL:
        raise Forbidden(f"Users reach the task store {store!r} with their own tokens, not through this machine.")


class EventSight:
    """Which events a caller sees: all, or those of its own tasks. One for each stream or page."""

    def __init__(self, services: ApiServices, caller: Caller) -> None:
        self._services = services
        self._caller = caller
        self._seen: dict[str, bool] = {}
        """By task id: the owner of a task never changes."""

    @property
    def unlimited(self) -> bool:
        """All events are seen."""
        return self._caller.owner is None

    async def sees(self, stored: StoredEvent) -> bool:
        """An event that belongs to no task tells of the machine."""
        task_id = stored.event.task_id
        if self._caller.owner is None or task_id is None:
            return self._caller.owner is None
        if task_id not in self._seen:
            if len(self._seen) >= MOST_REMEMBERED:
                self._seen.clear()
            self._seen[task_id] = await self._sees_task(task_id)
        return self._seen[task_id]

    async def _sees_task(self, task_id: str) -> bool:
        try:
            return self._caller.sees((await self._services.store.get(task_id)).owner)
        except TaskNotFound:
            return False


def owner_of(status: AgentStatus) -> str | None:
    """The user for whom an agent works; None: the machine's own."""
    return status.task.owner if status.task else None
