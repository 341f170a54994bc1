"""Sessions: conversations that programs hold with an agent, one turn after the other."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime

from ccm_orchestrator.domain.options import RunOptions

LABEL_LENGTH = 100


@dataclass(frozen=True, slots=True)
class Session:
    session_id: str
    """A UUID, under which the agent keeps the conversation, too."""
    agent_type: str
    """A word for people: what the agent is meant for."""
    project: str
    profile: str
    created_at: datetime
    last_used_at: datetime
    owner: str | None = None
    """The user that began it; None: somebody of this machine."""
    one_shot: bool = False
    """It takes no further messages."""
    model: str | None = None
    options: RunOptions = field(default_factory=RunOptions)
    """What it changes in the profile, and each of its turns unless that says otherwise."""
    turns: int = 0
    """How many there are."""


@dataclass(frozen=True, slots=True)
class Turn:
    """One message to a session and all that the agent does about it: a task of its own."""

    session_id: str
    number: int
    """From 1."""
    task_id: str
    created_at: datetime


def session_tag(session_id: str) -> str:
    """By which the tasks of a session are found."""
    return f"session:{session_id}"


_POSITION = re.compile(r"([1-9]\d{0,8})\.(0|[1-9]\d{0,8}|end)")


@dataclass(frozen=True, slots=True)
class Position:
    """A place in the output of a session, and the id of the event there: `2.17` is the 17th line of the second turn,
    `2.end` what comes after its last line."""

    turn: int
    line: int | None
    """None: its end."""

    def __str__(self) -> str:
        return f"{self.turn}.{'end' if self.line is None else self.line}"


def read_position(text: str) -> Position | None:
    """None when it is not one."""
    match = _POSITION.fullmatch(text)
    if match is None:
        return None
    return Position(int(match[1]), None if match[2] == "end" else int(match[2]))


@dataclass(frozen=True, slots=True)
class TurnWish:
    """What somebody asks for in a turn; None and empty: as the session has it."""

    prompt: str
    flags: tuple[str, ...] | None = None
    tools: tuple[str, ...] | None = None
    """All that the agent may use."""
    system_append: str | None = None
    model: str | None = None
    time_limit_s: float | None = None
    budget_usd: float | None = None


@dataclass(frozen=True, slots=True)
class SpawnWish:
    """What somebody asks for who begins a session."""

    turn: TurnWish
    agent_type: str
    project: str | None = None
    """None: the only one there is."""
    profile: str = ""
    """Empty: the project's."""
    one_shot: bool = False


def problem_with_session(session: Session) -> str | None:
    """One sentence saying what is wrong with it; None when nothing is."""
    label = session.agent_type
    if not label.strip() or len(label) > LABEL_LENGTH or not label.isprintable():
        return f"Expected `agent_type` to be 1 to {LABEL_LENGTH} printable characters, got: {label[:LABEL_LENGTH]!r}."
    return None
