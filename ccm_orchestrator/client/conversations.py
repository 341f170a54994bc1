"""What the daemon answers about sessions and standing agents."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from ccm_orchestrator.client.answers import Agent
from ccm_orchestrator.domain.dialogue import MessageStatus
from ccm_orchestrator.domain.standing_agent import StandingStatus, Wanted
from ccm_orchestrator.domain.task import TaskStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionEvent:
    """What a stream of a session tells. What its type has nothing to do with is None."""

    type: str
    """`session_created`, `output`, `status`, `error`, and at the end `completed`."""
    id: str | None = None
    """Where `sessions.output` goes on after it."""
    session_id: str | None = None
    task_id: str | None = None
    turn: int | None = None
    data: str | None = None
    """One line that the agent wrote."""
    status: str | None = None
    detail: str | None = None
    error: str | None = None
    failure_kind: str | None = None
    outcome: TaskStatus | None = None
    cost_usd: float | None = None

    @property
    def line(self) -> Any:
        """The line of an `output`, which is JSON."""
        return json.loads(self.data or "null")


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    session_id: str
    agent_type: str
    project: str
    profile: str
    model: str | None
    created_at: datetime
    last_used: datetime
    one_shot: bool
    """It takes no messages."""
    turns: int
    status: TaskStatus | str
    """Of the turn that is its turn; `idle`: there is none."""
    task_id: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    turn: int
    task_id: str
    status: TaskStatus
    title: str
    agent: str | None


@dataclass(frozen=True, slots=True)
class Terminated:
    message: str
    session_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StandingAgent:
    agent: str
    """Its name."""
    agent_id: str
    status: StandingStatus
    wanted: Wanted
    """What people want of it."""
    detail: str
    project: str
    profile: str
    model: str | None
    session_id: str
    idle_s: float
    time_limit_s: float | None
    budget_usd: float | None
    allowed_tools: list[str] | None
    """None: its profile's."""
    directory: Path | None
    """Its own; None: it works in its project's."""
    created_at: datetime
    terminated_at: datetime | None
    task_id: str | None
    run_id: str | None
    run: Agent | None
    """Its process, or the last one it had."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chat:
    agent: str
    session_id: str
    message_id: str
    status: MessageStatus
    reply: str
    """Empty until the message is answered."""
    detail: str
