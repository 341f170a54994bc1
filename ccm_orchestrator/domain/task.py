"""Tasks: what is asked for, where it stands, and how it ended."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from ccm_orchestrator.domain.options import RunOptions
from ccm_orchestrator.domain.result import TaskResult
from ccm_orchestrator.domain.routing import problem_with_labels

DEFAULT_PROFILE = "executor"
DEFAULT_MAX_ATTEMPTS = 2
MAX_PROMPT_BYTES = 4_000_000


class TaskStatus(StrEnum):
    """Where a task stands."""

    QUEUED = "queued"
    """Waits to be claimed, not before `run_after` and not before every task in `after` succeeded."""
    CLAIMED = "claimed"
    """A system holds the lease and is starting an agent."""
    RUNNING = "running"
    """An agent works on it."""
    WAITING = "waiting"
    """The agent lives and waits for a person."""
    ORPHANED = "orphaned"
    """The lease ran out, the agent may be alive: its owner adopts it, or the takeover grace ends and it is queued."""
    HELD = "held"
    """Waits for a person, or for `Hold.until`; `Hold.reason` says why."""
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def terminal(self) -> bool:
        return self in _TERMINAL

    @property
    def leased(self) -> bool:
        """Some run may write to the task with its fence."""
        return self in _LEASED


_TERMINAL = frozenset({TaskStatus.SUCCEEDED, TaskStatus.FAILED, TaskStatus.CANCELLED})
OPEN_STATUSES = frozenset(TaskStatus) - _TERMINAL
_LEASED = frozenset({TaskStatus.CLAIMED, TaskStatus.RUNNING, TaskStatus.WAITING, TaskStatus.ORPHANED})

TRANSITIONS: Mapping[TaskStatus, frozenset[TaskStatus]] = {
    TaskStatus.QUEUED: frozenset({TaskStatus.CLAIMED, TaskStatus.HELD, TaskStatus.CANCELLED}),
    TaskStatus.CLAIMED: frozenset(TaskStatus) - {TaskStatus.CLAIMED, TaskStatus.WAITING},
    TaskStatus.RUNNING: frozenset(TaskStatus) - {TaskStatus.CLAIMED, TaskStatus.RUNNING},
    TaskStatus.WAITING: frozenset(TaskStatus) - {TaskStatus.CLAIMED, TaskStatus.WAITING},
    TaskStatus.ORPHANED: frozenset(TaskStatus) - {TaskStatus.ORPHANED},
    TaskStatus.HELD: frozenset({TaskStatus.QUEUED, TaskStatus.CANCELLED}),
    TaskStatus.SUCCEEDED: frozenset(),
    TaskStatus.FAILED: frozenset({TaskStatus.QUEUED}),
    TaskStatus.CANCELLED: frozenset({TaskStatus.QUEUED}),
}
"""Legal moves. `failed` and `cancelled` return to `queued` only when a person retries the task."""


class HoldReason(StrEnum):
    """Why a task is held; the last column of `docs/architecture.md`'s table says who releases it."""

    APPROVAL = "approval"
    BUDGET = "budget"
    USAGE_LIMIT = "usage_limit"
    """Released by itself at `Hold.until`, the reset time of the agent's usage limit."""
    ATTEMPTS_EXHAUSTED = "attempts_exhausted"
    POISON = "poison"
    """The daemon died three times within a minute of starting it."""
    UNTRUSTED_SOURCE = "untrusted_source"
    INVALID = "invalid"
    """A row inserted by hand that cannot be carried out; `Hold.detail` says what to mend."""
    DEPENDENCY = "dependency"
    """A task it waits for failed or was cancelled."""
    SETUP = "setup"
    """This machine cannot start the agent (no tmux, no claude, no login, project directory gone)."""


@dataclass(frozen=True, slots=True)
class Hold:
    reason: HoldReason
    detail: str
    """One sentence for a person: what, where, what to do."""
    until: datetime | None = None
    """When the store releases it by itself; None: only a person does."""


def is_settled(status: TaskStatus, hold: Hold | None) -> bool:
    """It has ended, or a person has to do something for it. A usage limit ends by itself."""
    waits_for_a_person = status == TaskStatus.HELD and hold is not None and hold.reason != HoldReason.USAGE_LIMIT
    return status in _TERMINAL or waits_for_a_person


@dataclass(frozen=True, slots=True)
class Lease:
    """The right of one system to write to a task, with the fence that every write carries."""

    system_id: str
    boot_id: str
    expires_at: datetime
    """On the store's clock, the only one compared across machines."""


@dataclass(frozen=True, slots=True)
class LeaseKey:
    """What a write of a run carries; a stale fence is refused."""

    task_id: str
    fence: int


@dataclass(frozen=True, slots=True)
class NewTask:
    """A task as somebody asks for it. `validate_new_task` says what is wrong with one."""

    project: str
    prompt: str
    profile: str = DEFAULT_PROFILE
    priority: int = 0
    """Higher goes first."""
    run_after: datetime | None = None
    after: tuple[str, ...] = ()
    """Ids of tasks that must have succeeded first."""
    dedup_key: str | None = None
    """While a non-terminal task with this key exists, adding another returns that one."""
    max_attempts: int = DEFAULT_MAX_ATTEMPTS
    time_limit_s: float | None = None
    budget_usd: float | None = None
    model: str | None = None
    tags: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    """What a system must have, all of it, to take the task."""
    system_id: str | None = None
    """The system meant to run it; None: any."""
    source: str = "cli"
    task_id: str | None = None
    """Chosen by the caller; None: the store makes one."""
    owner: str | None = None
    """The user that asked for it; None: somebody of this machine. The embedded store keeps it."""
    options: RunOptions | None = None
    """What it changes in its profile. The embedded store keeps it."""


@dataclass(frozen=True, slots=True)
class Task:
    """A stored task."""

    task_id: str
    project: str
    prompt: str = field(repr=False)
    profile: str
    status: TaskStatus
    priority: int
    created_at: datetime
    updated_at: datetime
    run_after: datetime | None
    after: tuple[str, ...]
    dedup_key: str | None
    max_attempts: int
    attempt: int
    """Tries started so far that count against `max_attempts`."""
    infra_attempt: int
    """Consecutive tries lost to infrastructure (spawn, tmux, memory, system lost)."""
    time_limit_s: float | None
    budget_usd: float | None
    model: str | None
    tags: tuple[str, ...]
    system_id: str | None
    source: str
    fence: int
    """Number of claims so far; the current claim's fence while leased."""
    lease: Lease | None
    run_id: str | None
    """The run that began it last."""
    hold: Hold | None
    cancel_requested_at: datetime | None
    result: TaskResult | None
    labels: tuple[str, ...] = ()
    fence_floor: int = 0
    """The fence when a person last retried or released it: too many claims since then park it."""
    owner: str | None = None
    """The user that asked for it; None: somebody of this machine."""
    options: RunOptions | None = None

    @property
    def key(self) -> LeaseKey:
        return LeaseKey(self.task_id, self.fence)


def stored_task(new: NewTask, task_id: str, now: datetime) -> Task:
    """The task as it is first stored."""
    return Task(
        task_id=task_id,
        project=new.project,
        prompt=new.prompt,
        profile=new.profile,
        status=TaskStatus.QUEUED,
        priority=new.priority,
        created_at=now,
        updated_at=now,
        run_after=new.run_after,
        after=new.after,
        dedup_key=new.dedup_key,
        max_attempts=new.max_attempts,
        attempt=0,
        infra_attempt=0,
        time_limit_s=new.time_limit_s,
        budget_usd=new.budget_usd,
        model=new.model,
        tags=new.tags,
        labels=new.labels,
        system_id=new.system_id,
        source=new.source,
        fence=0,
        lease=None,
        run_id=None,
        hold=None,
        cancel_requested_at=None,
        result=None,
        owner=new.owner,
        options=new.options,
    )


def problem_with(new: NewTask) -> str | None:
    """One sentence saying what is wrong with the task's own fields; None when nothing is."""
    return _problem_with_text(new) or _problem_with_figures(new)


_TASK_ID = re.compile(r"[A-Za-z0-9_-]{4,64}")
_SURROGATE = re.compile(r"[\ud800-\udfff]")


def _problem_with_text(new: NewTask) -> str | None:
    if undecodable := _undecodable(new):
        return f"Expected text in UTF-8 in {undecodable}, got bytes that are not."
    if not new.prompt.strip():
        return "The prompt is empty: say what the agent should do."
    if len(new.prompt.encode()) > MAX_PROMPT_BYTES:
        return f"The prompt is over {MAX_PROMPT_BYTES} bytes: put the material in a file of the project and name it."
    if not new.project.strip():
        return "The project is empty: name one that `ccm-orchestrator project list` shows."
    if new.task_id is not None and not _TASK_ID.fullmatch(new.task_id):
        return f"Expected `task_id` to be 4 to 64 letters, digits, `_` or `-`, got: {new.task_id!r}."
    if new.task_id is not None and new.task_id in new.after:
        return "The task waits for itself: take its own id out of `after`."
    return None


def _problem_with_figures(new: NewTask) -> str | None:
    if not 1 <= new.max_attempts <= 20:
        return f"Expected `max_attempts` to be from 1 to 20, got: {new.max_attempts}."
    if not -1000 <= new.priority <= 1000:
        return f"Expected `priority` to be from -1000 to 1000, got: {new.priority}."
    if problem := problem_with_limits(new.time_limit_s, new.budget_usd):
        return problem
    if new.run_after is not None and new.run_after.tzinfo is None:
        return f"Expected `run_after` to name its time zone, got: {new.run_after.isoformat()}."
    return problem_with_labels(new.labels)


def problem_with_limits(time_limit_s: float | None, budget_usd: float | None) -> str | None:
    if time_limit_s is not None and not time_limit_s > 0:
        return f"Expected `time_limit_s` to be a positive number of seconds, got: {time_limit_s}."
    if budget_usd is not None and not budget_usd > 0:
        return f"Expected `budget_usd` to be a positive number, got: {budget_usd}."
    return None


def _undecodable(new: NewTask) -> str:
    """Names of the fields that hold half a character or undecodable bytes, which no store can keep."""
    values = {name: getattr(new, name) for name in ("prompt", "project", "profile", "dedup_key", "model", "source")}
    values |= {"tags": " ".join(new.tags), "after": " ".join(new.after), "system_id": new.system_id}
    return ", ".join(f"`{name}`" for name, value in values.items() if value and _SURROGATE.search(value))
