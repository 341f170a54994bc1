"""What the daemon answers. Where a type of the domain says the same, it is that type."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from ccm_orchestrator.domain.agent import AgentState, Dialog
from ccm_orchestrator.domain.dialogue import Expiry, MessageStatus
from ccm_orchestrator.domain.events import EventKind
from ccm_orchestrator.domain.explanation import Explanation
from ccm_orchestrator.domain.profiles import PermissionMode
from ccm_orchestrator.domain.result import FailureKind, Outcome, TaskResult
from ccm_orchestrator.domain.run import Mode, RunState
from ccm_orchestrator.domain.task import Hold, TaskStatus, is_settled


@dataclass(frozen=True, slots=True)
class ResultBrief:
    outcome: Outcome
    failure_kind: FailureKind | None
    failure: str | None
    cost_usd: float | None
    duration_s: float


@dataclass(frozen=True, slots=True)
class Lease:
    system_id: str
    expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskBrief:
    """A task in a list: without its whole prompt and result, which may be large."""

    task_id: str
    title: str
    project: str
    profile: str
    status: TaskStatus
    priority: int
    created_at: datetime
    updated_at: datetime
    run_after: datetime | None
    attempt: int
    max_attempts: int
    tags: tuple[str, ...]
    labels: tuple[str, ...]
    system_id: str | None
    run_id: str | None
    agent: str | None
    """Name of the agent that works on it, or worked on it last."""
    hold: Hold | None
    cancel_requested_at: datetime | None
    ended: ResultBrief | None

    @property
    def settled(self) -> bool:
        """It has ended, or a person has to do something for it."""
        return is_settled(self.status, self.hold)


@dataclass(frozen=True, slots=True, kw_only=True)
class Task(TaskBrief):
    prompt: str = field(repr=False)
    after: tuple[str, ...]
    dedup_key: str | None
    infra_attempt: int
    time_limit_s: float | None
    budget_usd: float | None
    model: str | None
    source: str
    fence: int
    lease: Lease | None
    result: TaskResult | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Agent:
    agent: str
    """Its name, such as `ccm-1f3c9a2b`."""
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
    attach: tuple[str, ...]
    """The command that shows its window."""
    explanation: Explanation | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """With its receipt: queued → delivered → accepted → answered, or undelivered, or failed."""

    message_id: str
    agent: str
    run_id: str | None
    task_id: str | None
    text: str
    model: str | None
    status: MessageStatus
    created_at: datetime
    updated_at: datetime
    detail: str
    answer: str
    """What the agent said at the end of the turn that it was part of."""


@dataclass(frozen=True, slots=True)
class Screen:
    agent: str
    run_id: str
    text: str


@dataclass(frozen=True, slots=True)
class Event:
    seq: int
    """The cursor from which a stream goes on after it."""
    kind: EventKind
    at: datetime
    task_id: str | None
    run_id: str | None
    data: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Resync:
    """The cursor is not kept any more, so events were missed: fetch the state anew. The stream goes on by itself."""

    first_seq: int
    """The oldest event that is kept."""
    last_seq: int


@dataclass(frozen=True, slots=True)
class Project:
    name: str
    path: Path
    profile: str | None
    created_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A file of a project that gives agents orders, rights or programs of its own accord."""

    directory: Path
    file: str
    digest: str
    effects: tuple[str, ...]
    approved: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectTrust:
    project: str
    path: Path
    approved: bool
    """Nothing waits for approval: agents are started here."""
    fingerprint: str
    findings: tuple[Finding, ...]
    released: tuple[str, ...]
    """Ids of the tasks that waited for this approval."""
    untold: tuple[str, ...]
    """Task stores that could not be asked for such tasks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    name: str
    driver: str
    mode: Mode
    model: str | None
    permission_mode: PermissionMode
    allowed_tools: tuple[str, ...]
    disallowed_tools: tuple[str, ...]
    system_prompt: str
    end_marker: bool
    time_limit_s: float | None
    inactivity_limit_s: float
    permission_timeout_s: float | None
    permission_expiry: Expiry
    budget_usd: float | None
    memory_limit_mb: int
    env_names: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class System:
    system_id: str
    system_name: str
    version: str
    max_agents: int
    labels: tuple[str, ...]
    draining: bool
    last_seen: datetime
    connected_since: datetime
    silent_s: float
    leased: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SupabaseHealth:
    state: str
    since: datetime | None = None
    last_answer_at: datetime | None = None
    last_sweep_at: datetime | None = None
    last_error: str = ""
    schema_newest: str | None = None
    schema_expected: str | None = None
    clock_skew_s: float = 0.0
    subscriber: str = "off"
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    version: str
    system_id: str
    started_at: datetime
    trouble: str
    """One word when the daemon does not do its work, else empty."""
    max_agents: int
    queue_limit: int
    agents: int
    tasks: dict[str, int]
    """Tasks of the embedded store, by status."""
    supabase: SupabaseHealth | None = None


@dataclass(frozen=True, slots=True)
class Health:
    status: str
    """`ok`, or one word for what is wrong."""
    detail: str | None = None
