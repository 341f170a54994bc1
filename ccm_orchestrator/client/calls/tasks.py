"""Tasks: hand work in, look at it, stop it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime

from ccm_orchestrator.client.answers import Event, Task, TaskBrief
from ccm_orchestrator.client.call import MARGIN_S, Call, Page, get, once, one, paged, post
from ccm_orchestrator.client.paths import path
from ccm_orchestrator.domain.task import TaskStatus
from ccm_orchestrator.errors import InvalidTask


def add(
    project: str,
    prompt: str,
    *,
    profile: str | None = None,
    model: str | None = None,
    priority: int = 0,
    run_after: datetime | None = None,
    after: Sequence[str] = (),
    dedup_key: str | None = None,
    max_attempts: int | None = None,
    time_limit_s: float | None = None,
    budget_usd: float | None = None,
    tags: Sequence[str] = (),
    labels: Sequence[str] = (),
    system_id: str | None = None,
    store: str | None = None,
    idempotency_key: str | None = None,
) -> Call[Task]:
    """Adds a task, which is durably stored when this returns.

    Sent again when the answer gets lost, always with the same Idempotency-Key: one of its own if none is given.
    Raises: InvalidTask and its kin, QueueFull.
    """
    if run_after is not None and run_after.tzinfo is None:
        raise InvalidTask("Expected `run_after` to say its time zone.")
    body = {
        "project": project,
        "prompt": prompt,
        "profile": profile,
        "model": model,
        "priority": priority,
        "run_after": run_after.isoformat() if run_after else None,
        "after": list(after),
        "dedup_key": dedup_key,
        "max_attempts": max_attempts,
        "time_limit_s": time_limit_s,
        "budget_usd": budget_usd,
        "tags": list(tags),
        "labels": list(labels),
        "system_id": system_id,
        "store": store,
    }
    given = {name: value for name, value in body.items() if value not in (None, [])}
    return once(post("/api/tasks", one(Task), given), idempotency_key)


def find(
    *,
    status: Iterable[TaskStatus | str] = (),
    project: str | None = None,
    tag: str | None = None,
    before: str | None = None,
    limit: int | None = None,
    store: str | None = None,
) -> Call[Page[TaskBrief]]:
    """Of one task store, newest first. `before` is a task's id: only those that are older."""
    wanted = [str(each) for each in status] or None
    return paged(
        "/api/tasks",
        TaskBrief,
        status=wanted,
        project=project,
        tag=tag,
        before=before,
        limit=limit,
        store=store,
    )


def show(task: str) -> Call[Task]:
    """By id, or a unique prefix of at least four characters. Raises: TaskNotFound."""
    return get(path("/api/tasks/{}", task), one(Task))


def look(task: str, wait_s: float) -> Call[Task]:
    """As soon as it is settled, and as it is after `wait_s` (at most 60) at the latest. Raises: TaskNotFound."""
    call = get(path("/api/tasks/{}", task), one(Task), wait_s=wait_s)
    return replace(call, patience_s=wait_s + MARGIN_S)


def stop(task: str) -> Call[Task]:
    """Cancelled at once when nothing runs; else flagged, and its agent is ended. Raises: TaskNotFound, WrongStatus."""
    return post(path("/api/tasks/{}/stop", task), one(Task))


def retry(task: str) -> Call[Task]:
    """A failed, cancelled or held task is queued again, with all its attempts. Raises: TaskNotFound, WrongStatus."""
    return post(path("/api/tasks/{}/retry", task), one(Task))


def release(task: str) -> Call[Task]:
    """A held task is queued again. Raises: TaskNotFound, WrongStatus."""
    return post(path("/api/tasks/{}/release", task), one(Task))


def events(task: str, *, after: int | None = None, limit: int | None = None) -> Call[Page[Event]]:
    """What happened to it, oldest first, after the cursor. Raises: TaskNotFound."""
    return paged(path("/api/tasks/{}/events", task), Event, after=after, limit=limit)
