"""What passes between people and agents: messages with receipts, and permission requests."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

MAX_MESSAGE_BYTES = 100_000
"""A message is typed into a window a few hundred characters at a time; more than this takes too long."""


RUN_ENDED = "The run ended first."
"""Why a message that was never typed is undelivered."""
NOT_TAKEN = "It was typed, and the run ended before the agent took it in."
"""The agent's own record of its conversation does not hold it."""
NEVER_TAKEN = frozenset({RUN_ENDED, NOT_TAKEN})
"""Whoever sends such a message again says nothing twice."""


class MessageStatus(StrEnum):
    QUEUED = "queued"
    """Waits until the agent can be typed to."""
    DELIVERED = "delivered"
    """Typed and submitted; not yet confirmed by the agent."""
    ACCEPTED = "accepted"
    """The agent reported it, or wrote it down."""
    ANSWERED = "answered"
    """A turn that it was part of has ended."""
    UNDELIVERED = "undelivered"
    """The run ended first, or the agent did not confirm it."""
    FAILED = "failed"
    """A standing agent took it, and its turn failed; `detail` says why."""

    @property
    def final(self) -> bool:
        return self not in ON_THEIR_WAY


ON_THEIR_WAY = frozenset({MessageStatus.QUEUED, MessageStatus.DELIVERED, MessageStatus.ACCEPTED})


@dataclass(frozen=True, slots=True)
class Message:
    message_id: str
    run_id: str
    text: str
    status: MessageStatus
    created_at: datetime
    updated_at: datetime
    detail: str = ""
    answer: str = ""
    """What the agent said at the end of the turn that it was part of."""


class Decision(StrEnum):
    ALLOW = "allow"
    DENY = "deny"


class AnswerScope(StrEnum):
    """How far an answer reaches."""

    ONCE = "once"
    TASK = "task"
    """The same again is answered the same for the rest of the task."""
    RULE = "rule"
    """A stored rule answers the same from now on, in other tasks, too."""


class Expiry(StrEnum):
    """What becomes of a request that nobody answered in time."""

    DENY = "deny"
    TERMINAL = "terminal"
    """It can only be answered in the agent's window from then on."""


class PermissionStatus(StrEnum):
    OPEN = "open"
    DECIDED = "decided"
    """Answered through us: `decision`, `decided_by`."""
    ANSWERED_ELSEWHERE = "answered_elsewhere"
    """Somebody answered in the terminal, or the agent went on without an answer."""
    EXPIRED = "expired"
    """Nobody answered in time, and what `on_expiry` says was done; or its agent ended first."""


@dataclass(frozen=True, slots=True)
class Verdict:
    decision: Decision
    decided_by: str
    reason: str = ""
    updated_input: Mapping[str, object] | None = None
    """Replaces the tool's whole input; carries the answers of a question."""
    scope: AnswerScope = AnswerScope.ONCE
    rule_ids: tuple[str, ...] = ()
    """The rules that gave this answer, or the one that was made of it."""


@dataclass(frozen=True, slots=True)
class AskingContext:
    """Where a request comes from. What is not known is empty."""

    agent: str = ""
    project: str = ""
    profile: str = ""
    directory: str = ""
    """In which the agent works at that moment."""
    permission_mode: str = ""
    subagent: str = ""
    """Kind of the sub-agent that asks; empty: the agent itself."""


@dataclass(frozen=True, slots=True)
class PermissionRequest:
    """A permission, a question or a plan that an agent waits on."""

    request_id: str
    run_id: str
    task_id: str
    dialog: str
    """A `Dialog`: `permission`, `question`, `plan`."""
    tool_name: str
    tool_input: Mapping[str, object] = field(repr=False)
    suggestions: tuple[object, ...]
    """The agent's own proposals for "don't ask again", as it sent them."""
    status: PermissionStatus
    created_at: datetime
    expires_at: datetime | None = None
    verdict: Verdict | None = None
    decided_at: datetime | None = None
    on_expiry: Expiry = Expiry.DENY
    context: AskingContext = AskingContext()
    suggested_rule: Mapping[str, str] = field(default_factory=dict)
    """Conditions of a rule that would cover the same again, and nothing more."""


def problem_with_message(text: str) -> str | None:
    """One sentence saying why this text cannot be sent to an agent; None when it can."""
    if not any(char.isprintable() and not char.isspace() for char in text):
        return "The message is empty: say what the agent should do."
    if len(text.encode("utf-8", "surrogatepass")) > MAX_MESSAGE_BYTES:
        return f"The message is over {MAX_MESSAGE_BYTES} bytes: put the material in a file of the project and name it."
    return None
