"""What claims do to a task. Pure, so that every embedded store says the same inside its own transaction.

Each function takes a task and gives the task that follows; the caller has loaded it and saves it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from ccm_orchestrator.domain.result import Outcome, TaskResult
from ccm_orchestrator.domain.task import Hold, HoldReason, Lease, LeaseKey, Task, TaskStatus
from ccm_orchestrator.errors import Fenced, WrongStatus

MAX_FENCES = 20
"""Claims without an outcome, since a person last sent the task on, after which it waits for a person."""

UNBEGUN = frozenset({TaskStatus.CLAIMED, TaskStatus.ORPHANED})
"""Statuses in which the repetition of a claim may still return the task, unless its run was begun or adopted."""


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


def check_fence(task: Task, key: LeaseKey) -> None:
    """Raises: Fenced."""
    if task.fence != key.fence or not task.status.leased:
        raise Fenced(
            f"Task {task.task_id} is {task.status} at fence {task.fence}, so the run with fence {key.fence} "
            "can no longer change it.",
            task_id=task.task_id,
            fence=key.fence,
            current_fence=task.fence,
        )


def claimed(task: Task, lease: Lease, now: datetime) -> Task:
    return replace(
        task,
        status=TaskStatus.CLAIMED,
        fence=task.fence + 1,
        attempt=task.attempt + 1,
        lease=lease,
        updated_at=now,
    )


def claim_repeated(task: Task, lease: Lease, now: datetime) -> Task:
    """The owner asks again for a claim whose answer it never saw: same fence, fresh lease."""
    return replace(task, status=TaskStatus.CLAIMED, lease=lease, updated_at=now)


def renewed(task: Task, lease: Lease, now: datetime) -> Task:
    """The owner is back in time: an orphan runs again."""
    status = TaskStatus.RUNNING if task.status is TaskStatus.ORPHANED else task.status
    return replace(task, status=status, lease=lease, updated_at=now)


def begun(task: Task, run_id: str, now: datetime) -> Task:
    status = task.status if task.status is TaskStatus.WAITING else TaskStatus.RUNNING
    return task if (task.status, task.run_id) == (status, run_id) else _moved(task, status, now, run_id=run_id)


def marked(task: Task, status: TaskStatus, now: datetime) -> Task:
    """Raises: WrongStatus."""
    if status not in (TaskStatus.RUNNING, TaskStatus.WAITING):
        raise WrongStatus(f"Expected to mark a task `running` or `waiting`, got: {status}.", status=status)
    if task.status is TaskStatus.CLAIMED and status is TaskStatus.WAITING:
        raise WrongStatus(f"Task {task.task_id} is only claimed: begin it before it waits.", status=task.status)
    return task if task.status is status else _moved(task, status, now)


def finished(task: Task, result: TaskResult, now: datetime) -> Task:
    """A result other than succeeded after a cancel request counts as cancelled."""
    if task.cancel_requested_at is not None and result.outcome is not Outcome.SUCCEEDED:
        result = replace(result, outcome=Outcome.CANCELLED)
    return _moved(task, TaskStatus(result.outcome), now, lease=None, result=result)


def released(task: Task, release: Release, now: datetime) -> Task:
    if task.cancel_requested_at is not None:
        return _moved(task, TaskStatus.CANCELLED, now, lease=None)
    counts = release.kind is ReleaseKind.ATTEMPT_FAILED
    infra = {
        ReleaseKind.VOLUNTARY: task.infra_attempt,
        ReleaseKind.ATTEMPT_FAILED: 0,
        ReleaseKind.INFRASTRUCTURE: task.infra_attempt + 1,
    }[release.kind]
    attempt = task.attempt if counts else max(task.attempt - 1, 0)
    freed = replace(task, attempt=attempt, infra_attempt=infra, run_after=release.run_after)
    return _given_back(freed, release.hold, now)


def orphaned(task: Task, now: datetime) -> Task:
    return _moved(task, TaskStatus.ORPHANED, now)


def taken_over(task: Task, now: datetime) -> Task:
    """The owner is lost: the fence is raised, so whatever it still says is refused."""
    raised = replace(task, fence=task.fence + 1)
    return released(raised, Release(ReleaseKind.INFRASTRUCTURE, "its system was lost", task.run_after), now)


def cancel_asked(task: Task, now: datetime) -> Task:
    """Raises: WrongStatus."""
    if task.status.terminal:
        raise WrongStatus(f"Task {task.task_id} is already {task.status}.", status=task.status)
    if task.status.leased:
        return task if task.cancel_requested_at else replace(task, cancel_requested_at=now, updated_at=now)
    return _moved(task, TaskStatus.CANCELLED, now, cancel_requested_at=now)


def retried(task: Task, now: datetime) -> Task:
    """Raises: WrongStatus."""
    if task.status not in (TaskStatus.FAILED, TaskStatus.CANCELLED, TaskStatus.HELD):
        raise WrongStatus(
            f"Task {task.task_id} is {task.status}: only a failed, cancelled or held task can be retried.",
            status=task.status,
        )
    anew = replace(task, attempt=0, infra_attempt=0, run_after=None, cancel_requested_at=None, result=None)
    return _moved(anew, TaskStatus.QUEUED, now, fence_floor=task.fence)


def unheld(task: Task, now: datetime) -> Task:
    """Raises: WrongStatus."""
    if task.status is not TaskStatus.HELD:
        raise WrongStatus(f"Task {task.task_id} is {task.status}, not held.", status=task.status)
    return _moved(task, TaskStatus.QUEUED, now, fence_floor=task.fence)


def hold_due(task: Task, now: datetime) -> Task:
    """The time of its hold has come: queued again, by nobody's wish."""
    return _moved(task, TaskStatus.QUEUED, now)


def held(task: Task, hold: Hold, now: datetime) -> Task:
    return _moved(task, TaskStatus.HELD, now, lease=None, hold=hold)


def hold_is_over(task: Task, dependencies: Sequence[TaskStatus], now: datetime) -> bool:
    """Its time has come, or none of the tasks it waits for is failed or cancelled any more."""
    hold = task.hold
    if hold is None:
        return False
    if hold.reason is HoldReason.DEPENDENCY:
        return not {TaskStatus.FAILED, TaskStatus.CANCELLED}.intersection(dependencies)
    return hold.until is not None and hold.until <= now


def lease_expired(task: Task, now: datetime) -> bool:
    return task.lease is None or task.lease.expires_at <= now


def lease_for(system_id: str, boot_id: str, lease_s: float, now: datetime) -> Lease:
    return Lease(system_id, boot_id, now + timedelta(seconds=lease_s))


def holds(task: Task, key: LeaseKey, system_id: str, boot_id: str | None = None) -> bool:
    """Whether this system (this start of its daemon, where `boot_id` is given) owns the claim with this fence."""
    return (
        task.fence == key.fence
        and task.status.leased
        and task.lease is not None
        and task.lease.system_id == system_id
        and boot_id in (None, task.lease.boot_id)
    )


def _given_back(task: Task, hold: Hold | None, now: datetime) -> Task:
    needs_person = hold is not None and hold.until is None
    if task.fence - task.fence_floor >= MAX_FENCES and not needs_person:
        hold = Hold(
            HoldReason.ATTEMPTS_EXHAUSTED,
            f"It was claimed {task.fence - task.fence_floor} times and never ended: look at its runs, "
            f"then `ccm-orchestrator task retry {task.task_id}` or cancel it.",
        )
    return _moved(task, TaskStatus.HELD if hold else TaskStatus.QUEUED, now, lease=None, hold=hold)


def _moved(task: Task, status: TaskStatus, now: datetime, **changes: object) -> Task:
    changes.setdefault("hold", None)
    return replace(task, status=status, updated_at=now, **changes)  # type: ignore[arg-type]  # checked by replace
