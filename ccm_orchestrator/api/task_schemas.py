"""Tasks and agents as the API shows them."""

from __future__ import annotations

from datetime import datetime
from functools import cache
from typing import Literal, Self

from pydantic import Field

from ccm_orchestrator.api.schemas import Output
from ccm_orchestrator.domain.agent import AgentState, Dialog
from ccm_orchestrator.domain.explanation import Explanation
from ccm_orchestrator.domain.result import FailureKind, Outcome, TaskResult
from ccm_orchestrator.domain.run import Mode, RunState, agent_name
from ccm_orchestrator.domain.task import Hold, Task, TaskStatus
from ccm_orchestrator.engine.control import AgentStatus

TITLE_LENGTH = 120


class ResultBrief(Output):
    outcome: Outcome
    failure_kind: FailureKind | None
    failure: str | None
    cost_usd: float | None
    duration_s: float

    @classmethod
    def of(cls, result: TaskResult) -> Self:
        failure = result.failure
        return cls(
            outcome=result.outcome,
            failure_kind=failure.kind if failure else None,
            failure=failure.message if failure else None,
            cost_usd=result.usage.cost_usd,
            duration_s=result.duration_s,
        )


@cache
def _kept_as_they_are(output: type[Output]) -> frozenset[str]:
    return frozenset(set(output.model_fields) & set(Task.__dataclass_fields__))


class TaskBrief(Output):
    """A task in a list: without its whole prompt and result, which may be large."""

    task_id: str
    title: str = Field(description="The beginning of the prompt's first line.")
    project: str
    profile: str
    status: TaskStatus
    priority: int
    created_at: datetime
    updated_at: datetime
    run_after: datetime | None
    attempt: int
    max_attempts: int
    tags: list[str]
    labels: list[str]
    system_id: str | None
    run_id: str | None
    agent: str | None = Field(description="Name of the agent that works on it, or worked on it last.")
    hold: Hold | None
    cancel_requested_at: datetime | None
    ended: ResultBrief | None

    @classmethod
    def of(cls, task: Task) -> Self:
        return cls(
            **{name: getattr(task, name) for name in _kept_as_they_are(cls)},
            title=title_of(task.prompt),
            agent=agent_name(task.run_id) if task.run_id else None,
            ended=ResultBrief.of(task.result) if task.result else None,
        )


class LeaseOutput(Output):
    system_id: str
    expires_at: datetime


class TaskOutput(TaskBrief):
    prompt: str
    after: list[str]
    dedup_key: str | None
    infra_attempt: int
    time_limit_s: float | None
    budget_usd: float | None
    model: str | None
    source: str
    fence: int
    lease: LeaseOutput | None
    result: TaskResult | None


class TaskPage(Output):
    items: list[TaskBrief]
    next_before: str | None = Field(description="Pass it as `before` to read on; None at the end.")


class AgentOutput(Output):
    kind: Literal["run"] = "run"
    agent: str
    run_id: str
    run_state: RunState
    state: AgentState
    since: datetime
    dialog: Dialog | None
    task_id: str
    task_status: TaskStatus | None
    title: str | None
    project: str
    profile: str
    driver: str
    mode: Mode
    attempt: int
    session_id: str | None
    resumed: bool
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    ending: str
    outcome: Outcome | None
    window_id: str | None
    attach: list[str] = Field(description="The command that shows the agent's window.")
    explanation: Explanation | None = None

    @classmethod
    def of(cls, status: AgentStatus, explanation: Explanation | None = None) -> Self:
        run, task = status.run, status.task
        return cls(
            agent=run.name,
            run_id=run.run_id,
            run_state=run.state,
            state=status.view.state,
            since=status.view.since,
            dialog=status.view.dialog,
            task_id=run.task_id,
            task_status=task.status if task else None,
            title=title_of(task.prompt) if task else None,
            project=run.project,
            profile=run.profile,
            driver=run.driver,
            mode=run.mode,
            attempt=run.attempt,
            session_id=run.session_id,
            resumed=run.resumed,
            created_at=run.created_at,
            started_at=run.started_at,
            ended_at=run.ended_at,
            ending=run.ending,
            outcome=run.outcome,
            window_id=run.window.window_id if run.window else None,
            attach=list(status.attach),
            explanation=explanation,
        )


def title_of(prompt: str) -> str:
    line = next((line.strip() for line in prompt.splitlines() if line.strip()), "")
    return line if len(line) <= TITLE_LENGTH else line[: TITLE_LENGTH - 1] + "…"
