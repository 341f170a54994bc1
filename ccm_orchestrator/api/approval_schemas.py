"""What agents ask, answers, and rules that answer, as they cross the API."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Self

from pydantic import Field

from ccm_orchestrator.api.schemas import Input, Output, Word
from ccm_orchestrator.domain.caller import Caller, CallerKind
from ccm_orchestrator.domain.dialogue import (
    AnswerScope,
    Decision,
    Expiry,
    PermissionRequest,
    PermissionStatus,
    Verdict,
)
from ccm_orchestrator.domain.rules import MAX_PATTERN, ApprovalRule, RuleDecision
from ccm_orchestrator.engine.approvals import RuleWish

TOOL = "Name of the tool; `*` is any text."
PATH = "File, from the working directory or absolute; `*` within one directory, `**` through any number of them."
COMMAND = "Command of a shell; `*` is any text. Allows only what it covers whole."


class Conditions(Input):
    tool: str | None = Field(default=None, max_length=MAX_PATTERN, description=TOOL)
    path: str | None = Field(default=None, max_length=MAX_PATTERN, description=PATH)
    command: str | None = Field(default=None, max_length=MAX_PATTERN, description=COMMAND)


class DecisionInput(Input):
    decision: Decision
    reason: str = Field("", max_length=10_000, description="Told to the agent when it is denied.")
    decided_by: Word = Field(
        default="api", description="Who says so; only programs of this machine name somebody else than themselves."
    )
    updated_input: dict[str, Any] | None = Field(default=None, description="Replaces the tool's whole input.")
    answers: dict[str, str] | None = Field(default=None, description="Question → answer, for a question.")
    scope: AnswerScope = Field(
        AnswerScope.ONCE,
        description="`once`; `task`: the same again is answered the same for the rest of the task; `rule`: a stored "
        "rule answers it from now on in this project.",
    )
    rule: Conditions | None = Field(
        default=None,
        description="What `task` or `rule` is to cover; without it the same again: the very command, file or input.",
    )

    def verdict(self, caller: Caller) -> Verdict:
        return Verdict(
            self.decision, signed(caller, self.decided_by), self.reason, self.updated_input, scope=self.scope
        )

    def wish(self, caller: Caller) -> RuleWish:
        return RuleWish(self.rule.model_dump(exclude_none=True) if self.rule else {}, caller.owner)


def signed(caller: Caller, claimed: str) -> str:
    """Who did something: what a program of this machine claims, else the credential itself."""
    trusted = caller.kind in (CallerKind.LOCAL, CallerKind.INTERNAL)
    return claimed if trusted else f"{caller.kind}:{caller.name}"


class VerdictOutput(Output):
    decision: Decision
    decided_by: str
    reason: str
    scope: AnswerScope
    rule_ids: list[str] = Field(description="The rules that gave this answer, or the one that was made of it.")


class ContextOutput(Output):
    """Where a request comes from. What is not known is empty."""

    agent: str
    project: str
    profile: str
    directory: str = Field(description="In which the agent works at that moment.")
    permission_mode: str
    subagent: str = Field(description="Kind of the sub-agent that asks; empty: the agent itself.")


class PermissionOutput(Output):
    request_id: str
    run_id: str
    task_id: str
    dialog: str = Field(description="`permission`, `question`, `plan` or `elicitation`.")
    tool_name: str
    tool_input: dict[str, Any] = Field(description="What is asked: a command, a file and its text, questions, a plan.")
    suggestions: list[Any] = Field(description="The agent's own proposals for \"don't ask again\", as it sent them.")
    suggested_rule: dict[str, str] = Field(description="What `scope` covers when the answer does not say it.")
    context: ContextOutput
    status: PermissionStatus
    created_at: datetime
    expires_at: datetime | None = Field(description="None: it waits for ever.")
    on_expiry: Expiry
    verdict: VerdictOutput | None
    decided_at: datetime | None

    @classmethod
    def of(cls, request: PermissionRequest) -> Self:
        return cls.model_validate(request)


class ApprovalRuleInput(Conditions):
    decision: RuleDecision = Field(description="In the order in which rules win: `deny`, `ask` (a person), `allow`.")
    project: Word | None = Field(default=None, description="Only for agents in this project.")
    profile: Word | None = Field(default=None, description="Only for agents of this profile.")
    reason: str = Field("", max_length=10_000, description="Told to an agent that is denied.")


class ApprovalRuleOutput(Output):
    rule_id: str
    decision: RuleDecision
    tool: str | None
    path: str | None
    command: str | None
    input_digest: str | None = Field(description="SHA-256 of the tool's whole input, which must be this very one.")
    project: str | None
    profile: str | None
    task_id: str | None = Field(description="The rule is made for the rest of this task.")
    owner: str | None = Field(description="The user for whose tasks alone it is; None: for all tasks of this machine.")
    reason: str
    created_at: datetime | None = Field(description="None: it stands in the configuration.")
    created_by: str

    @classmethod
    def of(cls, rule: ApprovalRule) -> Self:
        return cls.model_validate(rule)
