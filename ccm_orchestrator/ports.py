"""What the engine needs of the world, as operations. Adapters implement these; fakes in `tests/fakes` do, too.

Every operation may be awaited from any event loop of the process. Errors are those of `errors.py`; an adapter lets no
foreign exception through.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from ccm_orchestrator.domain.agent import AgentView, Evidence
from ccm_orchestrator.domain.dialogue import Message, MessageStatus, PermissionRequest, PermissionStatus, Verdict
from ccm_orchestrator.domain.events import BusEvent, HookRecord, StoredEvent
from ccm_orchestrator.domain.profiles import Profile
from ccm_orchestrator.domain.result import GitChange, TaskResult, Usage
from ccm_orchestrator.domain.run import ProcessRef, Run, WindowRef
from ccm_orchestrator.domain.task import Hold, LeaseKey, NewTask, Task, TaskStatus


class Clock(Protocol):
    def now(self) -> datetime:
        """Wall clock, UTC, aware."""

    def uptime_s(self) -> float:
        """Seconds on a clock that never steps and counts suspend: what local lease trust is measured on."""


# --- tasks -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Project:
    """A directory in which agents work, registered by the user: registering it is what makes it trusted."""

    name: str
    path: Path
    profile: str | None = None
    """Profile of tasks that name none; None: `executor`."""
    created_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class TaskQuery:
    statuses: frozenset[TaskStatus] = frozenset()
    """Empty: any."""
    project: str | None = None
    tag: str | None = None
    limit: int = 100
    before: str | None = None
    """Task id: only tasks created before that one (the list is newest first)."""


@dataclass(frozen=True, slots=True)
class ClaimRequest:
    """Idempotent by `request_id`: repeating it returns the same rows with the same fences while they are claimed."""

    request_id: str
    system_id: str
    boot_id: str
    """One per daemon start."""
    count: int
    lease_s: float


class LeaseAnswer(StrEnum):
    OK = "ok"
    FENCED = "fenced"
    """The claim was superseded (or the task is gone or ended): stop the run, write nothing."""
    CANCEL = "cancel"
    """Still ours, and somebody asked to cancel it."""
    DRAIN = "drain"


class FinishAnswer(StrEnum):
    RECORDED = "recorded"
    ALREADY = "already"
    """This fence's outcome is recorded; repeating is fine."""
    FENCED = "fenced"
    """Refused and kept as evidence."""


class ReleaseKind(StrEnum):
    VOLUNTARY = "voluntary"
    """Consumes no attempt (shutdown, usage limit, hold)."""
    ATTEMPT_FAILED = "attempt_failed"
    """The attempt counts; `infra_attempt` returns to 0."""
    INFRASTRUCTURE = "infrastructure"
    """Consumes no attempt and raises `infra_attempt`."""


@dataclass(frozen=True, slots=True)
class Release:
    kind: ReleaseKind
    detail: str
    run_after: datetime | None = None
    hold: Hold | None = None
    """Set: the task goes to `held` and not to `queued`."""


class TaskStore(Protocol):
    """The queue. Its clock decides about leases, its transactions about everything else."""

    async def enqueue(self, new: NewTask) -> tuple[Task, bool]:
        """The stored task, and whether it is new (False: `dedup_key` or `task_id` matched an existing one).

        Raises: InvalidTask and its kin, UnknownProject, UnknownDependency, DependencyCycle, QueueFull.
        """

    async def get(self, task_id: str) -> Task:
        """Also by a unique prefix of at least four characters. Raises: TaskNotFound."""

    async def list(self, query: TaskQuery) -> Sequence[Task]:
        """Newest first."""

    async def counts(self) -> Mapping[TaskStatus, int]: ...

    async def claim(self, request: ClaimRequest) -> Sequence[Task]:
        """Up to `count` queued tasks for this system: priority, then the project with fewest leased tasks, then age.

        Rows that cannot be carried out (unknown project, unreadable fields) become `held` with reason `invalid`,
        tasks whose dependency failed `held` with reason `dependency`; neither is returned.
        """

    async def renew(
        self, system_id: str, boot_id: str, keys: Sequence[LeaseKey], lease_s: float
    ) -> Mapping[str, LeaseAnswer]:
        """One call for all runs, by task id. Also the system's heartbeat."""

    async def begin(self, key: LeaseKey, run_id: str) -> Task:
        """claimed → running; idempotent. Raises: Fenced."""

    async def mark(self, key: LeaseKey, status: TaskStatus) -> Task:
        """running ⇄ waiting; idempotent. Raises: Fenced."""

    async def finish(self, key: LeaseKey, result: TaskResult) -> FinishAnswer:
        """Ends the task. A result other than succeeded after a cancel request is recorded as cancelled."""

    async def release(self, key: LeaseKey, release: Release) -> Task:
        """Gives the claim back to `queued` or `held`; cancelled instead when that was requested. Raises: Fenced."""

    async def cancel(self, task_id: str) -> Task:
        """Queued and held: cancelled now. Leased: flagged, and `renew` answers `cancel`. Raises: TaskNotFound, WrongStatus."""

    async def retry(self, task_id: str) -> Task:
        """A person's wish: failed, cancelled or held → queued with all attempts anew. Raises: TaskNotFound, WrongStatus."""

    async def unhold(self, task_id: str) -> Task:
        """A person releases a held task → queued, attempts kept. Raises: TaskNotFound, WrongStatus."""

    async def rescue(self, system_id: str, takeover_grace_s: float) -> Sequence[Task]:
        """Expired leases → orphaned; orphans past the grace → queued with a raised fence; due holds → queued. Returns changed tasks."""

    async def adopt(self, key: LeaseKey, system_id: str, boot_id: str, lease_s: float) -> LeaseAnswer:
        """The owner returns: same fence, new boot id, fresh lease; orphaned → running."""

    async def late_results(self, task_id: str) -> Sequence[tuple[int, TaskResult]]:
        """Results that were refused, with their stale fences: evidence only."""

    async def wait_for_change(self, timeout_s: float) -> bool:
        """True as soon as something may have become claimable or cancelled (also by a row inserted by hand), False at the timeout."""

    async def add_project(self, project: Project) -> Project:
        """Registers or replaces by name. Raises: InvalidProject."""

    async def remove_project(self, name: str) -> None:
        """Raises: NotFound; WrongStatus while non-terminal tasks name it."""

    async def projects(self) -> Sequence[Project]: ...


# --- the local journal -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class RunQuery:
    open_only: bool = False
    task_id: str | None = None
    limit: int = 100


class Journal(Protocol):
    """What this system must remember of its own runs, whatever the task store is."""

    async def begin_term(self, boot_id: str) -> int:
        """Raises the term, committed before it returns; later writes of an older term raise StaleTerm."""

    async def remember_claim(self, request: ClaimRequest) -> None: ...

    async def open_claims(self) -> Sequence[ClaimRequest]:
        """Requests that were sent, or about to be, and never answered."""

    async def settle_claim(self, request_id: str) -> None: ...

    async def save_run(self, run: Run, term: int) -> None:
        """Inserts or replaces. Raises: StaleTerm."""

    async def run(self, run_id: str) -> Run:
        """By run id, agent name, task id (its newest run) or a unique prefix. Raises: RunNotFound."""

    async def runs(self, query: RunQuery) -> Sequence[Run]:
        """Newest first."""

    async def save_view(self, run_id: str, view: AgentView) -> None: ...

    async def views(self, run_ids: Sequence[str]) -> Mapping[str, AgentView]: ...

    async def add_message(self, run_id: str, text: str) -> Message: ...

    async def messages(self, run_id: str) -> Sequence[Message]:
        """Oldest first."""

    async def set_message(self, message_id: str, status: MessageStatus, detail: str = "") -> Message: ...

    async def add_permission(self, request: PermissionRequest) -> None:
        """Duplicate-safe by `request_id`."""

    async def permission(self, request_id: str) -> PermissionRequest:
        """By id or unique prefix. Raises: PermissionNotFound."""

    async def permissions(self, run_id: str | None = None, open_only: bool = True) -> Sequence[PermissionRequest]:
        """Oldest first."""

    async def decide_permission(self, request_id: str, verdict: Verdict) -> PermissionRequest:
        """First answer wins. Raises: WrongStatus when it is not open any more."""

    async def close_permission(self, request_id: str, status: PermissionStatus) -> None:
        """Open → `status`; nothing when it is not open."""


class EventStore(Protocol):
    """The durable log behind every stream."""

    async def append(self, events: Sequence[BusEvent]) -> Sequence[StoredEvent]: ...

    async def ingest(self, records: Sequence[tuple[HookRecord, Sequence[BusEvent]]]) -> Sequence[StoredEvent]:
        """Keeps raw hook records and publishes what they were mapped to, in one commit; known `event_id`s are skipped."""

    async def read(
        self, after_seq: int, limit: int = 500, task_id: str | None = None, run_id: str | None = None
    ) -> Sequence[StoredEvent]:
        """In order of `seq`."""

    async def last_seq(self) -> int: ...

    async def first_seq(self) -> int:
        """The oldest one kept (retention removes older ones); 0 when empty."""

    async def hook_records(self, run_id: str) -> Sequence[HookRecord]:
        """Raw, in order of arrival."""


# --- the terminal ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class WindowInfo:
    ref: WindowRef
    name: str
    run_id: str | None
    """The window's `@ccm_run` option; None: not ours, never to be touched."""
    pane_pid: int
    dead: bool


@dataclass(frozen=True, slots=True)
class TerminalHealth:
    ok: bool
    version: str
    server_pid: int | None
    windows: int
    detail: str
    """One sentence when not ok, else empty."""


class Key(StrEnum):
    """Keys that may be pressed in an agent's window, by tmux's names."""

    ENTER = "Enter"
    ESCAPE = "Escape"
    STASH_DRAFT = "C-s"
    INTERRUPT = "C-c"
    YES = "1"


class Terminal(Protocol):
    """Windows that people can attach to. Every operation raises TerminalUnavailable when tmux does not answer in time."""

    async def start(self) -> None:
        """Starts the server where there is none, ends control clients of an earlier daemon. Raises: TmuxMissing."""

    async def stop(self) -> None:
        """Ends our own client; windows live on."""

    async def open_window(self, run_id: str, argv: Sequence[str]) -> WindowRef:
        """A window named `ccm-XXXXXXXX` that runs argv, marked with the run id in the same command."""

    async def windows(self) -> Sequence[WindowInfo]: ...

    async def capture(self, window: WindowRef, styled: bool = False, history_lines: int = 0) -> str:
        """What a person sees, with escape sequences if `styled`. Raises: WindowGone."""

    async def type_text(self, window: WindowRef, text: str) -> None:
        """Literally, in chunks slow enough not to be taken for a paste; control characters but newline are dropped.
        Submits nothing. Raises: WindowGone."""

    async def press(self, window: WindowRef, key: Key) -> None: ...

    async def close_window(self, window: WindowRef) -> None:
        """Nothing when it is gone."""

    async def health(self) -> TerminalHealth:
        """Never raises."""

    def attach_argv(self, window: WindowRef | None) -> Sequence[str]:
        """The command a person runs to look (at this window)."""


# --- launching and watching processes --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Launch:
    """How to start one agent, as a driver wants it; `Launchpad.prepare` writes it down for the launcher."""

    argv: Sequence[str]
    env: Mapping[str, str] = field(repr=False)
    """The whole environment of the agent: nothing else is inherited."""
    cwd: Path
    files: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    """Written into the run directory (0600) before the start: settings, prompt."""
    stdin_file: str | None = None
    """Name of a file in `files`; None: the window's terminal."""
    stdout_file: str | None = None
    """Name in the run directory that gets a copy of the agent's stdout, one JSON object a line, while the window
    shows it readably; None: the window's terminal."""
    memory_limit_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class ExitRecord:
    exit_code: int | None
    signal: int | None
    reason: str
    """`exited`, `signalled`, `out_of_memory`, `start_failed`, `terminated` (we asked for it)."""
    detail: str
    ended_at: datetime
    max_rss_bytes: int | None


class Ticket(StrEnum):
    ISSUED = "issued"
    REDEEMED = "redeemed"
    REVOKED = "revoked"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class RunTrace:
    """What the run directory and the process table say of one run."""

    lock_held: bool
    """Its launcher lives."""
    ticket: Ticket
    agent: ProcessRef | None
    """From `run.json`."""
    agent_alive: bool
    exit: ExitRecord | None


class Launchpad(Protocol):
    """Run directories: what passes between the daemon and a launcher."""

    def directory(self, run_id: str) -> Path: ...

    async def prepare(self, run_id: str, term: int, launch: Launch) -> Sequence[str]:
        """Writes the run directory and the one-time ticket, durably; returns the launcher's argv."""

    async def revoke(self, run_id: str) -> Ticket:
        """Takes an unredeemed ticket back; returns what the ticket is now (`redeemed`: too late)."""

    async def trace(self, run_id: str) -> RunTrace: ...

    async def interrupt(self, run_id: str) -> bool:
        """SIGINT to the agent; False when it is not alive."""

    async def terminate(self, run_id: str) -> bool:
        """SIGTERM to the agent's process group (the launcher records `terminated`); False when nothing is alive."""

    async def kill(self, run_id: str) -> bool:
        """SIGKILL to whatever is left of the run's processes."""

    async def read_file(self, run_id: str, name: str, offset: int = 0) -> bytes:
        """Empty when it does not exist (yet)."""

    async def spooled(self, run_id: str, limit: int = 500) -> Sequence[HookRecord]:
        """Hook events that wait to be ingested, oldest first; a file still being written is left for later."""

    async def discard(self, records: Sequence[HookRecord]) -> None:
        """Removes ingested files from the spool."""

    async def sweep(self, keep: frozenset[str], older_than_s: float) -> int:
        """Removes run directories that are neither kept nor locked nor recent; returns how many."""


class WakeupKind(StrEnum):
    SPOOL = "spool"
    EXIT = "exit"
    """`run.json` or `exit.json` was written, or the launcher's process ended."""
    REGISTRY = "registry"
    STREAM = "stream"


@dataclass(frozen=True, slots=True)
class Wakeup:
    kind: WakeupKind
    run_id: str | None
    """None: any run of that kind may be concerned."""


class Watch(Protocol):
    """Tells within milliseconds that something of a run changed. A hint only: a slow sweep finds what it missed."""

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    def add_run(self, run_id: str) -> None: ...

    def forget_run(self, run_id: str) -> None: ...

    def add_registry(self, directory: Path) -> None:
        """A directory in which agents keep files about themselves; it need not exist yet. Idempotent."""

    def wakeups(self) -> AsyncIterator[Wakeup]:
        """Endless; equal wakeups that wait are merged."""


# --- agents ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class DriverHealth:
    ok: bool
    executable: Path | None
    version: str
    detail: str
    """One sentence when not ok (what, where, what to do), else empty."""


@dataclass(frozen=True, slots=True)
class LaunchOrder:
    """What a driver is told about the agent to start."""

    run: Run
    prompt: str = field(repr=False)
    profile: Profile
    model: str | None
    budget_usd: float | None
    run_directory: Path
    spool_directory: Path
    """Hooks write here."""
    permission_url: str | None
    """Where a held permission hook is sent; None: no remote answers."""
    token: str = field(repr=False)
    """Per-run secret for `permission_url`."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What a driver reads in one hook record."""

    evidence: Sequence[Evidence]
    events: Sequence[BusEvent]
    session_id: str | None = None
    transcript_path: str | None = None
    prompt: str | None = None
    """The text of an accepted prompt, for matching with messages."""


@dataclass(frozen=True, slots=True)
class Report:
    """What a driver can tell of a run that ended, from the truthful source of its mode."""

    text: str
    usage: Usage
    session_id: str | None
    transcript_path: str | None


@dataclass(frozen=True, slots=True)
class SessionTrace:
    """What a driver may consult when it observes an agent from outside."""

    run: Run
    agent: ProcessRef | None
    run_directory: Path
    session_id: str | None
    transcript_path: str | None


class AgentDriver(Protocol):
    """What knows one kind of agent CLI."""

    name: str

    async def probe(self) -> DriverHealth:
        """Whether agents can be started at all; cached for a while, never raises."""

    async def prepare(self, order: LaunchOrder) -> Launch:
        """Raises: AgentMissing, AgentUnsupported, NotLoggedIn, InvalidProject (directory gone or not trusted)."""

    def registry_directory(self) -> Path | None:
        """To be watched; None: the driver has no registry."""

    def read_hook(self, record: HookRecord, task_id: str) -> Reading:
        """Pure. A malformed payload gives a `hook_malformed` event and no evidence."""

    async def observe(self, trace: SessionTrace) -> Sequence[Evidence]:
        """Registry, stream and transcript, as they stand now."""

    def read_screen(self, screen: str, at: datetime, run_id: str) -> Evidence | None:
        """Pure. None when the screen says nothing."""

    def message_keys(self, text: str, screen: str) -> Sequence[str | Key]:
        """What to type (text) and press (keys) to submit a message at the prompt that `screen` (styled) shows."""

    def permission_answer(self, request: PermissionRequest, verdict: Verdict) -> Mapping[str, object]:
        """The body that answers a held permission hook."""

    def read_permission(
        self, payload: Mapping[str, object]
    ) -> tuple[str, str, Mapping[str, object], tuple[object, ...]]:
        """(dialog, tool_name, tool_input, suggestions) of a permission hook's body."""

    async def report(self, trace: SessionTrace, readings: Sequence[Reading]) -> Report: ...


class Workspace(Protocol):
    """The project's repository, where it is one."""

    async def base_commit(self, path: Path) -> str | None:
        """HEAD now; None when the directory is no repository or has no commit."""

    async def change_since(self, path: Path, base_commit: str) -> GitChange | None: ...
