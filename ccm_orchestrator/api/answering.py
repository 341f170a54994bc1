"""Answers to what agents ask, whichever way they come."""

from __future__ import annotations

from ccm_orchestrator.api.approval_schemas import DecisionInput
from ccm_orchestrator.api.services import ApiServices
from ccm_orchestrator.domain.caller import Caller, Scope
from ccm_orchestrator.domain.dialogue import AnswerScope, PermissionRequest
from ccm_orchestrator.errors import Forbidden


async def decide(services: ApiServices, caller: Caller, ref: str, body: DecisionInput) -> PermissionRequest:
    """`ref` is a request, or a run that asks exactly one thing, and the caller sees it.

    Raises: what `Control.decide` raises; Forbidden when it makes a rule that reaches too far.
    """
    if body.scope is AnswerScope.RULE:
        check_reach(caller)
    return await services.control.decide(ref, body.verdict(caller), body.answers, body.wish(caller))


def check_reach(caller: Caller) -> None:
    """Raises: Forbidden unless the caller may make rules: for its own tasks, or for all of this machine."""
    if caller.owner is None and not caller.may(Scope.ADMIN):
        raise Forbidden(
            f"A rule for all tasks of this machine needs the scope `admin`, which the credential {caller.name} does "
            "not have; an answer may have the scope `task`."
        )
