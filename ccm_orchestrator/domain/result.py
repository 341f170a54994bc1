"""How a run ended: the text, what was touched, what it cost, and why it failed."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum


class Outcome(StrEnum):
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


class FailureKind(StrEnum):
    """Why an attempt failed. `infrastructure` says which kinds do not count against `max_attempts`."""

    AGENT_ERROR = "agent_error"
    """The agent said so: `[ERROR] reason` at the end of its last message."""
    AGENT_EXIT = "agent_exit"
    """The agent's process ended before its work did."""
    INACTIVITY = "inactivity"
    TIME_LIMIT = "time_limit"
    BUDGET = "budget"
    RATE_LIMIT = "rate_limit"
    USAGE_LIMIT = "usage_limit"
    OVERLOADED = "overloaded"
    AUTHENTICATION = "authentication"
    BILLING = "billing"
    INVALID_REQUEST = "invalid_request"
    MODEL_NOT_FOUND = "model_not_found"
    API_ERROR = "api_error"
    SPAWN = "spawn"
    OUT_OF_MEMORY = "out_of_memory"
    LOST = "lost"
    """The agent vanished with its tmux server or its machine."""
    SETUP = "setup"
    """This machine cannot start the agent until a person mends something."""

    @property
    def infrastructure(self) -> bool:
        return self in _INFRASTRUCTURE


_INFRASTRUCTURE = frozenset(
    {
        FailureKind.SPAWN,
        FailureKind.OUT_OF_MEMORY,
        FailureKind.LOST,
        FailureKind.OVERLOADED,
        FailureKind.RATE_LIMIT,
    }
)


@dataclass(frozen=True, slots=True)
class Failure:
    kind: FailureKind
    message: str
    """One sentence for a person."""
    resets_at: float | None = None
    """Unix time at which a usage limit ends, where the agent said so."""


@dataclass(frozen=True, slots=True)
class CommandRun:
    command: str
    exit_code: int | None
    """None: the agent did not report one (still running, denied, or killed)."""


@dataclass(frozen=True, slots=True)
class Summary:
    """What the agent did, from its own events (paths are as the agent named them, each once, in order)."""

    files_read: tuple[str, ...] = ()
    files_written: tuple[str, ...] = ()
    commands: tuple[CommandRun, ...] = ()
    tool_counts: dict[str, int] = field(default_factory=dict)
    errors: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of the whole run, and its price in USD where the agent's own figure can be trusted."""

    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_creation_tokens: int = 0
    cost_usd: float | None = None
    """None: unknown (a model without a price), never a guess."""
    source: str = ""
    """Where the figures come from: `result`, `transcript`, `status_line`."""


@dataclass(frozen=True, slots=True)
class GitChange:
    """What changed in the project's repository between start and end of the run."""

    base_commit: str
    head_commit: str
    commits: tuple[str, ...]
    """Subjects with short hashes, oldest first: `abc1234 Fix the test`."""
    files_changed: tuple[str, ...]
    """Paths that differ from `base_commit`, committed or not, untracked ones included."""
    diff_stat: str


@dataclass(frozen=True, slots=True)
class TaskResult:
    outcome: Outcome
    text: str = ""
    """The agent's last message, without the end marker."""
    failure: Failure | None = None
    summary: Summary = field(default_factory=Summary)
    usage: Usage = field(default_factory=Usage)
    git: GitChange | None = None
    duration_s: float = 0.0
    session_id: str | None = None
    transcript_path: str | None = None
    run_id: str = ""
    attempt: int = 0
