"""Rules at work: what they say of a request, and how an answer becomes one of them."""

from __future__ import annotations

import asyncio
import os
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from ccm_orchestrator.domain.dialogue import AnswerScope, Decision, PermissionRequest, Verdict
from ccm_orchestrator.domain.rules import (
    ApprovalRule,
    Asking,
    Judgement,
    RuleDecision,
    asked_paths,
    judge,
    ordered,
    problem_with_rule,
    same_again,
)
from ccm_orchestrator.domain.run import Run
from ccm_orchestrator.errors import InputError, WrongStatus
from ccm_orchestrator.ports.approvals import ApprovalRules
from ccm_orchestrator.ports.world import Clock

ID_PREFIX = "rule-"
ANSWERS = {RuleDecision.ALLOW: Decision.ALLOW, RuleDecision.DENY: Decision.DENY}


@dataclass(frozen=True, slots=True)
class RuleWish:
    """How a person wants the rule that an answer makes. Without any condition it covers the same again."""

    conditions: Mapping[str, str] = field(default_factory=dict)
    owner: str | None = None
    """The user for whose tasks alone the rule is to be."""


SAME_AGAIN = RuleWish()


class Approvals:
    """The rules that are stored, and those of the settings after them."""

    def __init__(self, store: ApprovalRules, of_settings: Sequence[ApprovalRule], clock: Clock) -> None:
        self._store = store
        self._of_settings = tuple(of_settings)
        self._clock = clock

    async def rules(self) -> Sequence[ApprovalRule]:
        """In the order in which they are named."""
        return ordered([*await self._store.all(), *self._of_settings])

    async def add(self, rule: ApprovalRule) -> ApprovalRule:
        """With an id and a time of its own. Raises: InputError."""
        if (problem := problem_with_rule(rule)) is not None:
            raise InputError(problem)
        await self._store.add(rule)
        return rule

    async def get(self, rule_id: str) -> ApprovalRule:
        """By id, or a stored one by a unique prefix. Raises: RuleNotFound."""
        of_settings = (rule for rule in self._of_settings if rule.rule_id == rule_id)
        return next(of_settings, None) or await self._store.get(rule_id)

    async def remove(self, rule: ApprovalRule) -> None:
        """Raises: WrongStatus."""
        if rule in self._of_settings:
            raise WrongStatus(f"The rule {rule.rule_id} stands in the configuration of this machine: remove it there.")
        await self._store.remove(rule.rule_id)

    def new(self, **values: object) -> ApprovalRule:
        """A rule with an id of its own, made now."""
        rule_id = f"{ID_PREFIX}{uuid.uuid4().hex[:12]}"
        return ApprovalRule(rule_id=rule_id, created_at=self._clock.now(), **values)  # type: ignore[arg-type]

    async def verdict(self, run: Run, request: PermissionRequest) -> Verdict | None:
        """What the rules answer; None: a person is asked."""
        rules = await self.rules()
        if not rules:
            return None
        found = judge(rules, await asyncio.to_thread(_followed, _asking(run, request)))
        return _verdict(found) if found and found.decision in ANSWERS else None

    def of_answer(self, run: Run, request: PermissionRequest, verdict: Verdict, wish: RuleWish) -> ApprovalRule | None:
        """The rule that an answer of this scope makes. Raises: InputError."""
        if verdict.scope is AnswerScope.ONCE:
            if wish.conditions:
                raise InputError("An answer that is given once makes no rule: say `task` or `rule` as its `scope`.")
            return None
        if verdict.updated_input is not None:
            raise InputError("A changed input, or the answers of a question, count once: leave `scope` at `once`.")
        limits = {"task_id": run.task_id} if verdict.scope is AnswerScope.TASK else {"project": run.project}
        rule = self.new(
            decision=RuleDecision(verdict.decision.value),
            owner=wish.owner,
            reason=verdict.reason if verdict.decision is Decision.DENY else "",
            created_by=verdict.decided_by,
            **limits,
            **(wish.conditions or suggested(run, request)),
        )
        if (problem := problem_with_rule(rule)) is not None:
            raise InputError(problem)
        return rule


def suggested(run: Run, request: PermissionRequest) -> Mapping[str, str]:
    """The conditions of a rule that covers the same again, and nothing more."""
    return same_again(_asking(run, request))


def _asking(run: Run, request: PermissionRequest) -> Asking:
    home = str(run.cwd)
    return Asking(
        dialog=request.dialog,
        tool_name=request.tool_name,
        tool_input=request.tool_input,
        project=run.project,
        profile=run.profile,
        task_id=run.task_id,
        owner=run.owner,
        directories=[home],
        paths=asked_paths(request.tool_input, request.context.directory or home),
    )


def _followed(asking: Asking) -> Asking:
    """With the places to which links lead."""
    directories = sorted({*asking.directories, *map(_real, asking.directories)})
    return replace(asking, directories=directories, real_paths=[_real(path) for path in asking.paths])


def _real(path: str) -> str:
    """Empty, which no pattern matches, for what cannot be a path."""
    try:
        return os.path.realpath(path)
    except ValueError:
        return ""


def _verdict(found: Judgement) -> Verdict:
    ids = tuple(rule.rule_id for rule in found.rules)
    reason = found.rules[0].reason
    if found.decision is RuleDecision.DENY and not reason:
        reason = f"The rule {ids[0]} denies it."
    return Verdict(ANSWERS[found.decision], f"rule:{','.join(ids)}", reason, rule_ids=ids)
