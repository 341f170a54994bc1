"""What an agent is doing: states, and the evidence that they rest on. `domain/transitions.py` draws the conclusions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum, StrEnum


class AgentState(StrEnum):
    SPAWNING = "spawning"
    """The window is being opened; no process is known yet."""
    INITIALIZING = "initializing"
    """The process lives and has not taken its prompt yet."""
    WORKING = "working"
    WAITING = "waiting"
    """Nothing happens until a person acts: a dialog is open, or the turn was interrupted."""
    COMPLETE = "complete"
    """The turn ended normally and no background work is left."""
    ERROR = "error"
    """The turn ended by an error, or the process ended with one."""
    UNKNOWN = "unknown"
    """Adopted, and no evidence seen yet."""
    GONE = "gone"
    """The process ended without a record, with its launcher."""


class Source(StrEnum):
    """Who says so, best first. Hook, registry and stream have the same rank: the newest of them counts."""

    EXIT_RECORD = "exit_record"
    HOOK = "hook"
    REGISTRY = "registry"
    STREAM = "stream"
    LAUNCHER = "launcher"
    """`run.json`: the process exists, which says nothing of what it does."""
    STATUS_LINE = "status_line"
    TRANSCRIPT = "transcript"
    SCREEN = "screen"

    @property
    def rank(self) -> Rank:
        return _RANKS[self]


class Rank(IntEnum):
    SCREEN = 1
    REPORT = 2
    SIGNAL = 3
    RECORD = 4


_RANKS = {
    Source.EXIT_RECORD: Rank.RECORD,
    Source.HOOK: Rank.SIGNAL,
    Source.REGISTRY: Rank.SIGNAL,
    Source.STREAM: Rank.SIGNAL,
    Source.LAUNCHER: Rank.REPORT,
    Source.STATUS_LINE: Rank.REPORT,
    Source.TRANSCRIPT: Rank.REPORT,
    Source.SCREEN: Rank.SCREEN,
}


class Signal(StrEnum):
    """What was observed."""

    PROCESS_STARTED = "process_started"
    SESSION_STARTED = "session_started"
    SESSION_ENDED = "session_ended"
    """`detail` is the agent's reason (`clear` does not end the process)."""
    PROMPT_ACCEPTED = "prompt_accepted"
    TOOL_STARTED = "tool_started"
    """`data["tool_use_id"]`, `data["tool_name"]`."""
    TOOL_FINISHED = "tool_finished"
    TOOL_FAILED = "tool_failed"
    ASKED = "asked"
    """A dialog opened; `detail` is the `Dialog`."""
    ACTIVE = "active"
    """A sign of life that says nothing else of the state. `data["prompt"]` is a text that the agent has written down
    as said to it; with `data["queued"]` it waits for its turn."""
    TURN_ENDED = "turn_ended"
    """`detail` is the last message; no background work is left."""
    TURN_PAUSED = "turn_paused"
    """The turn ended but background work will wake it."""
    TURN_FAILED = "turn_failed"
    """`data["failure_kind"]` is a `FailureKind`, `detail` the message."""
    IDLE = "idle"
    """At the prompt. Says nothing of why: ended, failed or interrupted."""
    BUSY = "busy"
    RETRYING = "retrying"
    """The agent repeats a failed API request by itself."""
    BLOCKED = "blocked"
    """A dialog is open now; `detail` is the `Dialog`."""
    BACKGROUND = "background"
    """At the prompt, with background shells running."""
    MARKER_DONE = "marker_done"
    MARKER_ERROR = "marker_error"
    EXITED = "exited"
    """`data["exit_code"]` or `data["signal"]`, `data["reason"]` of `exit.json`."""
    VANISHED = "vanished"
    """No process, no lock, no exit record."""


class Dialog(StrEnum):
    PERMISSION = "permission"
    QUESTION = "question"
    PLAN = "plan"
    ELICITATION = "elicitation"
    TRUST = "trust"
    API_KEY = "api_key"
    BYPASS_WARNING = "bypass_warning"
    SETTINGS = "settings"
    AUTO_MODE = "auto_mode"
    LOGIN = "login"
    ONBOARDING = "onboarding"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Evidence:
    """One observation of one agent."""

    source: Source
    signal: Signal
    at: datetime
    """When it happened, as near as the witness knows."""
    detail: str = ""
    data: Mapping[str, object] = field(default_factory=dict)
    subagent: bool = False
    """It concerns a subagent: a sign of life, never a state of the agent itself."""


@dataclass(frozen=True, slots=True)
class AgentView:
    """What we believe of an agent, and why."""

    state: AgentState
    since: datetime
    evidence: Evidence | None
    """The observation that the state rests on."""
    last_sign_of_life: datetime
    dialog: Dialog | None = None
    """Set while `waiting` on a dialog."""
    tools_running: frozenset[str] = frozenset()
    """`tool_use_id`s started and not finished: a tool that runs for an hour is not silence."""
    background_work: bool = False
    """A turn ended with subagents or shells still running, which will wake the agent."""

    def age_s(self, now: datetime) -> float:
        """Seconds since the observation that the state rests on (since the state began, when there is none)."""
        return (now - (self.evidence.at if self.evidence else self.since)).total_seconds()
