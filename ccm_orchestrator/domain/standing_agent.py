"""Standing agents: named agents whose conversation outlives their processes."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path

from ccm_orchestrator.domain.agent import AgentState
from ccm_orchestrator.domain.dialogue import MessageStatus
from ccm_orchestrator.domain.task import Task, TaskStatus

DEFAULT_IDLE_S = 600.0
SHORTEST_IDLE_S = 1.0
LONGEST_IDLE_S = 7 * 86_400.0
_NAME = re.compile(r"[a-z][a-z0-9-]{0,39}")
_BARELY_BEGUN = frozenset({AgentState.SPAWNING, AgentState.INITIALIZING})


class StandingStatus(StrEnum):
    STARTING = "starting"
    """Its process is about to be there."""
    RUNNING = "running"
    HIBERNATING = "hibernating"
    """It has no process; the next message begins one, which goes on with the conversation."""
    STOPPED = "stopped"
    """By a person; it takes messages when it was started again."""
    ERROR = "error"
    """Its last turn failed, or cannot begin; the next message tries again."""
    TERMINATED = "terminated"
    """Deleted."""


class Wanted(StrEnum):
    """What people want of it."""

    RUNNING = "running"
    STOPPED = "stopped"
    TERMINATED = "terminated"


@dataclass(frozen=True, slots=True)
class StandingAgent:
    agent_id: str
    """32 hex digits."""
    name: str
    project: str
    profile: str
    session_id: str
    """The conversation that its next process goes on with."""
    created_at: datetime
    owner: str | None = None
    """The user that it works for; None: somebody of this machine."""
    model: str | None = None
    """None: the profile's. A message may change it, for itself and what follows."""
    system_prompt: str = field(default="", repr=False)
    """Appended after the profile's."""
    allowed_tools: tuple[str, ...] | None = None
    """None: the profile's."""
    idle_s: float = DEFAULT_IDLE_S
    """It hibernates when it had nothing to do for so long."""
    time_limit_s: float | None = None
    """Of each turn; None: the profile's."""
    budget_usd: float | None = None
    """Of each process; None: the profile's."""
    directory: Path | None = None
    """Its own; None: it works in its project's."""
    wanted: Wanted = Wanted.RUNNING
    task_id: str | None = None
    """The task that its process carries out, or carried out last."""
    terminated_at: datetime | None = None
    cleared: bool = False
    """Terminated, and nothing is left to be done about it."""
    detail: str = ""
    """One sentence, where there is something that a person should know."""


@dataclass(frozen=True, slots=True)
class StandingMessage:
    """A message to a standing agent. It is carried by a task: as its prompt, or to the run that goes on."""

    message_id: str
    agent_id: str
    text: str = field(repr=False)
    status: MessageStatus
    created_at: datetime
    updated_at: datetime
    model: str | None = None
    """Wished for from this message on; None: as before."""
    detail: str = ""
    answer: str = field(default="", repr=False)
    task_id: str | None = None
    """None: nobody carries it yet."""
    run_id: str | None = None
    """It is a message to this run; None: it is the prompt of its task."""
    tries: int = 0
    """How often it was handed over to a task."""


def problem_with_name(name: str) -> str | None:
    """One sentence saying why a standing agent cannot have this name; None when it can."""
    if not _NAME.fullmatch(name):
        return (
            "Expected the name to be up to 40 small letters, digits and `-`, beginning with a letter, "
            f"got: {name[:60]!r}."
        )
    if name.startswith("ccm-"):
        return f"The name {name!r} looks like that of a run: choose one that does not begin with `ccm-`."
    return None


def problem_with_idle(idle_s: float) -> str | None:
    if SHORTEST_IDLE_S <= idle_s <= LONGEST_IDLE_S:
        return None
    return f"Expected `idle_s` to be from {SHORTEST_IDLE_S:g} to {LONGEST_IDLE_S:g} seconds, got: {idle_s:g}."


def status_of(agent: StandingAgent, task: Task | None, state: AgentState | None) -> StandingStatus:
    """`task`: the agent's newest; `state`: of that task's newest run."""
    if agent.wanted is Wanted.TERMINATED:
        return StandingStatus.TERMINATED
    if task is not None and not task.status.terminal:
        return _of_task(task, state)
    if agent.wanted is Wanted.STOPPED:
        return StandingStatus.STOPPED
    failed = task is not None and task.status is TaskStatus.FAILED
    return StandingStatus.ERROR if failed else StandingStatus.HIBERNATING


def _of_task(task: Task, state: AgentState | None) -> StandingStatus:
    if task.status is TaskStatus.HELD:
        return StandingStatus.ERROR
    if task.status in (TaskStatus.QUEUED, TaskStatus.CLAIMED) or state in _BARELY_BEGUN:
        return StandingStatus.STARTING
    return StandingStatus.RUNNING
