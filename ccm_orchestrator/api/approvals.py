"""/api/permissions and /api/approval-rules: what agents ask, the answers, and rules that answer by themselves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Query

from ccm_orchestrator.api.access import owner_of, visible_agent, visible_permission
from ccm_orchestrator.api.answering import check_reach, decide
from ccm_orchestrator.api.approval_schemas import (
    ApprovalRuleInput,
    ApprovalRuleOutput,
    DecisionInput,
    PermissionOutput,
    signed,
)
from ccm_orchestrator.api.guards import Asker, TokenRoute, needs
from ccm_orchestrator.api.injection import Services
from ccm_orchestrator.api.paging import DEFAULT_LIMIT, After, Limit, Pager
from ccm_orchestrator.api.services import ApiServices
from ccm_orchestrator.domain import refusals
from ccm_orchestrator.domain.caller import Caller, Scope
from ccm_orchestrator.domain.dialogue import PermissionRequest
from ccm_orchestrator.domain.rules import ApprovalRule

router = APIRouter(prefix="/api", tags=["approvals"], route_class=TokenRoute)

Closed = Annotated[bool, Query(description="Also those settled.")]


@router.get("/permissions")
async def list_all_permissions(
    services: Services,
    caller: Asker,
    pager: Pager,
    closed: Closed = False,
    after: After = None,
    limit: Limit = DEFAULT_LIMIT,
) -> list[PermissionOutput]:
    """Oldest first, of all agents."""
    found = await _seen(services, caller, await services.control.permissions(None, not closed))
    return _page(pager, found, after, limit)


@router.get("/permissions/{request_id}")
async def get_permission(services: Services, caller: Asker, request_id: str) -> PermissionOutput:
    """By its id or a unique prefix."""
    return PermissionOutput.of(await visible_permission(services, caller, request_id))


@router.get("/agents/{agent}/permissions")
async def list_permissions(
    services: Services,
    caller: Asker,
    pager: Pager,
    agent: str,
    closed: Closed = False,
    after: After = None,
    limit: Limit = DEFAULT_LIMIT,
) -> list[PermissionOutput]:
    """Oldest first."""
    run = (await visible_agent(services, caller, agent)).run
    return _page(pager, await services.control.permissions(run.run_id, not closed), after, limit)


@router.post("/agents/{agent}/permissions")
@needs(Scope.APPROVE)
async def decide_for_agent(services: Services, caller: Asker, agent: str, body: DecisionInput) -> PermissionOutput:
    """For an agent that asks exactly one thing. The first answer wins, from here or from the agent's window."""
    run = (await visible_agent(services, caller, agent)).run
    return PermissionOutput.of(await decide(services, caller, run.run_id, body))


@router.post("/permissions/{request_id}")
@needs(Scope.APPROVE)
async def decide_permission(
    services: Services, caller: Asker, request_id: str, body: DecisionInput
) -> PermissionOutput:
    """The first answer wins, from here or from the agent's window."""
    asked = await visible_permission(services, caller, request_id)
    return PermissionOutput.of(await decide(services, caller, asked.request_id, body))


@router.get("/approval-rules")
async def list_approval_rules(services: Services, caller: Asker) -> list[ApprovalRuleOutput]:
    """In the order in which they are named when several say the same: of tasks, stored, of the configuration."""
    known = await services.control.approvals.rules()
    return [ApprovalRuleOutput.of(rule) for rule in known if caller.sees(rule.owner)]


@router.post("/approval-rules", status_code=201)
@needs(Scope.APPROVE)
async def add_approval_rule(services: Services, caller: Asker, body: ApprovalRuleInput) -> ApprovalRuleOutput:
    """It answers what is open already, too. One for all tasks of this machine needs the scope `admin`."""
    check_reach(caller)
    approvals = services.control.approvals
    rule = approvals.new(**body.model_dump(), owner=caller.owner, created_by=signed(caller, caller.name))
    return ApprovalRuleOutput.of(await services.control.add_approval_rule(rule))


@router.get("/approval-rules/{rule_id}")
async def get_approval_rule(services: Services, caller: Asker, rule_id: str) -> ApprovalRuleOutput:
    """By its id; a stored one also by a unique prefix."""
    return ApprovalRuleOutput.of(await _visible_rule(services, caller, rule_id))


@router.delete("/approval-rules/{rule_id}")
@needs(Scope.APPROVE)
async def remove_approval_rule(services: Services, caller: Asker, rule_id: str) -> ApprovalRuleOutput:
    """The rule as it was. What it answered stays answered. One of the configuration is removed there."""
    rule = await _visible_rule(services, caller, rule_id)
    if rule.task_id is None:
        check_reach(caller)
    await services.control.approvals.remove(rule)
    return ApprovalRuleOutput.of(rule)


def _page(pager: Pager, found: Sequence[PermissionRequest], after: str | None, limit: int) -> list[PermissionOutput]:
    return [PermissionOutput.of(each) for each in pager.part(found, lambda asked: asked.request_id, after, limit)]


async def _visible_rule(services: ApiServices, caller: Caller, rule_id: str) -> ApprovalRule:
    """Raises: RuleNotFound."""
    rule = await services.control.approvals.get(rule_id)
    if not caller.sees(rule.owner):
        raise refusals.rule_not_found(rule_id)
    return rule


async def _seen(
    services: ApiServices, caller: Caller, requests: Sequence[PermissionRequest]
) -> Sequence[PermissionRequest]:
    if caller.owner is None:
        return requests
    run_ids = {request.run_id for request in requests}
    seen = {run_id for run_id in run_ids if caller.sees(owner_of(await services.control.agent(run_id)))}
    return [request for request in requests if request.run_id in seen]
