"""/api/permissions: what agents ask, and the answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Query

from ccm_orchestrator.api.access import owner_of, visible_agent, visible_permission
from ccm_orchestrator.api.guards import Asker, TokenRoute, needs
from ccm_orchestrator.api.schemas import DecisionInput, PermissionOutput
from ccm_orchestrator.api.services import ApiServices, Services
from ccm_orchestrator.domain.caller import Caller, Scope
from ccm_orchestrator.domain.dialogue import PermissionRequest

router = APIRouter(prefix="/api", tags=["approvals"], route_class=TokenRoute)

Closed = Annotated[bool, Query(description="Also those settled.")]


@router.get("/permissions")
async def list_all_permissions(services: Services, caller: Asker, closed: Closed = False) -> list[PermissionOutput]:
    """Oldest first, of all agents."""
    found = await services.control.permissions(None, not closed)
    return [PermissionOutput.of(request) for request in await _seen(services, caller, found)]


@router.get("/permissions/{request_id}")
async def get_permission(services: Services, caller: Asker, request_id: str) -> PermissionOutput:
    """By its id or a unique prefix."""
    return PermissionOutput.of(await visible_permission(services, caller, request_id))


@router.get("/agents/{agent}/permissions")
async def list_permissions(
    services: Services, caller: Asker, agent: str, closed: Closed = False
) -> list[PermissionOutput]:
    """Oldest first."""
    run = (await visible_agent(services, caller, agent)).run
    return [PermissionOutput.of(request) for request in await services.control.permissions(run.run_id, not closed)]


@router.post("/agents/{agent}/permissions")
@needs(Scope.APPROVE)
async def decide_for_agent(services: Services, caller: Asker, agent: str, body: DecisionInput) -> PermissionOutput:
    """For an agent that asks exactly one thing. The first answer wins, from here or from the agent's window."""
    run = (await visible_agent(services, caller, agent)).run
    return PermissionOutput.of(await services.control.decide(run.run_id, body.verdict(caller), body.answers))


@router.post("/permissions/{request_id}")
@needs(Scope.APPROVE)
async def decide_permission(
    services: Services, caller: Asker, request_id: str, body: DecisionInput
) -> PermissionOutput:
    """The first answer wins, from here or from the agent's window."""
    asked = await visible_permission(services, caller, request_id)
    return PermissionOutput.of(await services.control.decide(asked.request_id, body.verdict(caller), body.answers))


async def _seen(
    services: ApiServices, caller: Caller, requests: Sequence[PermissionRequest]
) -> Sequence[PermissionRequest]:
    if caller.owner is None:
        return requests
    run_ids = {request.run_id for request in requests}
    seen = {run_id for run_id in run_ids if caller.sees(owner_of(await services.control.agent(run_id)))}
    return [request for request in requests if request.run_id in seen]
