"""The queue, and the projects that tasks may name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from ccm_orchestrator.domain.leasing import Release as Release
from ccm_orchestrator.domain.leasing import ReleaseKind as ReleaseKind
from ccm_orchestrator.domain.result import TaskResult
from ccm_orchestrator.domain.task import LeaseKey, NewTask, Task, TaskStatus
from ccm_orchestrator.ports.systems import SystemInfo, SystemView


@dataclass(frozen=True, slots=True)
class Project:
    """A directory in which agents work, registered by the user. What its own files would do is approved separately."""

    name: str
    path: Path
    profile: str | None = None
    """Profile of tasks that name none; None: `executor`."""
    created_at: datetime | None = None


def problem_with_project(project: Project) -> str | None:
    """One sentence saying what is wrong with it; None when nothing is. Whether the directory exists is not asked."""
    if not project.name.strip() or project.name != project.name.strip() or len(project.name) > 100:
        return f"Expected the project's name to be 1 to 100 characters without spaces around, got: {project.name!r}."
    if not project.name.isprintable():
        return f"Expected the project's name to have no control characters, got: {project.name!r}."
    if not project.path.is_absolute():
        return f"Expected the project's path to be absolute, got: {project.path}."
    return None


@dataclass(frozen=True, slots=True)
class TaskQuery:
    statuses: frozenset[TaskStatus] = frozenset()
    """Empty: any."""
    project: str | None = None
    tag: str | None = None
    limit: int = 100
    before: str | None = None
    """Task id: only tasks created before that one (the list is newest first)."""
    owner: str | None = None
    """Only tasks of this user; None: everybody's."""


@dataclass(frozen=True, slots=True)
class ClaimRequest:
    """Idempotent by `request_id`: repeating it returns those of its tasks, with their fences, whose runs have not begun
    and were not adopted; their lease is then that of the repetition, `boot_id` included."""

    request_id: str
    system_id: str
    boot_id: str
    """One per daemon start."""
    count: int
    lease_s: float
    store: str = "local"
    """Name of the task store that is asked, for the one who repeats it."""


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

    async def counts(self, owner: str | None = None) -> Mapping[TaskStatus, int]:
        """Of one user's tasks; None: of all."""

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
        """Queued and held: cancelled now. Leased: flagged, and `renew` answers `cancel`.

        Raises: TaskNotFound, WrongStatus.
        """

    async def retry(self, task_id: str) -> Task:
        """A person's wish: failed, cancelled or held → queued with all attempts anew.

        Raises: TaskNotFound, WrongStatus.
        """

    async def unhold(self, task_id: str) -> Task:
        """A person releases a held task → queued, attempts kept. Raises: TaskNotFound, WrongStatus."""

    async def rescue(self, system_id: str, takeover_grace_s: float) -> Sequence[Task]:
        """Expired leases → orphaned; orphans past the grace → queued with a raised fence; due holds → queued.

        Returns the tasks that changed.
        """

    async def adopt(self, key: LeaseKey, system_id: str, boot_id: str, lease_s: float) -> LeaseAnswer:
        """The owner returns: same fence, new boot id, fresh lease; orphaned → running."""

    async def late_results(self, task_id: str) -> Sequence[tuple[int, TaskResult]]:
        """Results that were refused, with their stale fences: evidence only."""

    async def register_system(self, info: SystemInfo, boot_id: str) -> None:
        """A machine introduces itself, which is a heartbeat, too. Until it has, it has no labels."""

    async def systems(self) -> Sequence[SystemView]:
        """Those that ever were heard of, by id."""

    async def drain(self, system_id: str, draining: bool = True) -> None:
        """Whether a system stops claiming; `renew` tells it. No heartbeat of that system. Raises: NotFound."""

    async def wait_for_change(self, timeout_s: float) -> bool:
        """True as soon as something may have become claimable or cancelled, False at the timeout.

        A row that somebody inserted by hand is such a change, too.
        """

    async def add_project(self, project: Project) -> Project:
        """Registers or replaces by name. Raises: InvalidProject."""

    async def remove_project(self, name: str) -> None:
        """Raises: NotFound; WrongStatus while non-terminal tasks name it."""

    async def projects(self) -> Sequence[Project]: ...
