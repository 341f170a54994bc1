"""Sessions as they cross the API, and the events of their streams."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field

from ccm_orchestrator.api.schemas import Input, Output, Word
from ccm_orchestrator.api.task_schemas import title_of
from ccm_orchestrator.domain.run import agent_name
from ccm_orchestrator.domain.session import Position, Session, SpawnWish, TurnWish
from ccm_orchestrator.domain.task import Task, TaskStatus


def _whole(text: str) -> str:
    """Raises: ValueError for half characters, which nobody could be told."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError("Expected whole characters, got half of a surrogate pair") from error
    if "\0" in text:
        raise ValueError("Expected no NUL characters")
    return text


Text = Annotated[str, AfterValidator(_whole)]
Label = Annotated[Word, AfterValidator(_whole)]


class TurnInput(Input):
    prompt: Text = Field(description="What the agent is told; up to 4 MB.")
    flags: list[Text] | None = Field(
        default=None,
        max_length=100,
        description="Further arguments of Claude Code, from an allow-list (`--max-turns`, `--effort`, …).",
    )
    tools_allowed: list[Text] | None = Field(
        default=None,
        max_length=100,
        description="The only tools that the agent may use, such as `Read` or `Bash(git log:*)`; nothing else is asked "
        "for. None: what the profile allows, and the rest is asked for.",
    )
    system_append: Text | None = Field(
        default=None, max_length=100_000, description="Added to the agent's system prompt."
    )
    model: Label | None = None
    time_limit_s: float | None = None
    budget_usd: float | None = None

    def turn(self) -> TurnWish:
        return TurnWish(
            prompt=self.prompt,
            flags=None if self.flags is None else tuple(self.flags),
            tools=None if self.tools_allowed is None else tuple(self.tools_allowed),
            system_append=self.system_append,
            model=self.model,
            time_limit_s=self.time_limit_s,
            budget_usd=self.budget_usd,
        )


class MessageToSession(TurnInput):
    """What is left out is as the session was begun with; what is given holds for this turn."""


class SpawnInput(TurnInput):
    agent_type: Label = Field("agent", description="A word for people: what the agent is meant for.")
    create_session: bool = Field(default=False, description="Messages can follow.")
    resume_id: Label | None = Field(
        default=None,
        description="Go on with this session, or with a conversation that Claude Code keeps on this machine.",
    )
    project: Label | None = Field(default=None, description="A registered project; None: the only one there is.")
    profile: Label | None = Field(default=None, description="None: the project's profile, else `executor`.")

    def wish(self) -> SpawnWish:
        return SpawnWish(self.turn(), self.agent_type, self.project, self.profile or "", not self.create_session)


class TurnOutput(Output):
    turn: int
    task_id: str
    status: TaskStatus
    title: str
    agent: str | None = Field(description="Name of the agent that works on it, or worked on it last.")

    @classmethod
    def of(cls, number: int, task: Task) -> Self:
        agent = agent_name(task.run_id) if task.run_id else None
        return cls(turn=number, task_id=task.task_id, status=task.status, title=title_of(task.prompt), agent=agent)


class SessionOutput(Output):
    session_id: str
    agent_type: str
    project: str
    profile: str
    model: str | None
    created_at: datetime
    last_used: datetime
    one_shot: bool = Field(description="It takes no messages.")
    turns: int
    status: Literal["idle"] | TaskStatus = Field(description="Of the turn that is its turn; `idle`: there is none.")
    task_id: str | None = Field(description="The task of that turn.")

    @classmethod
    def of(cls, session: Session, current: Task | None) -> Self:
        return cls(
            session_id=session.session_id,
            agent_type=session.agent_type,
            project=session.project,
            profile=session.profile,
            model=session.model,
            created_at=session.created_at,
            last_used=session.last_used_at,
            one_shot=session.one_shot,
            turns=session.turns,
            status=current.status if current else "idle",
            task_id=current.task_id if current else None,
        )


class SessionPage(Output):
    sessions: list[SessionOutput]
    next_before: str | None = Field(description="Pass it as `before` to read on; None at the end.")


class Terminated(Output):
    message: str
    session_id: str


def frame(kind: str, position: Position | None, **facts: object) -> str:
    """One server-sent event; what has no place in the output has no id."""
    place = f"id: {position}\n" if position else ""
    data = json.dumps({"type": kind, **{name: value for name, value in facts.items() if value is not None}})
    return f"{place}event: {kind}\ndata: {data}\n\n"
