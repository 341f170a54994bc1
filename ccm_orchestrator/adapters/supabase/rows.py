"""What the functions of the database answer, read into our own types."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from ccm_orchestrator.domain.result import TaskResult
from ccm_orchestrator.domain.task import DEFAULT_PROFILE, Hold, HoldReason, Lease, Task, TaskStatus
from ccm_orchestrator.errors import StoreError
from ccm_orchestrator.ports.systems import SystemView
from ccm_orchestrator.ports.tasks import Project

RESULTS = TypeAdapter(TaskResult)


@contextmanager
def readable(what: str) -> Iterator[None]:
    """Raises: StoreError for an answer of another shape than this version knows."""
    try:
        yield
    except (KeyError, ValueError, TypeError, AttributeError) as error:  # ValidationError is a ValueError
        problem = error.errors()[0]["msg"] if isinstance(error, ValidationError) else f"{type(error).__name__}: {error}"
        raise StoreError(
            f"Supabase answered with {what} that cannot be read ({problem}): upgrade, or run "
            "`ccm-orchestrator db migrate`."
        ) from error


def read_task(row: Mapping[str, Any]) -> Task:
    with readable("a task"):
        return Task(
            task_id=row["task_id"],
            project=row["project"],
            prompt=row["prompt"],
            profile=row["profile"] or DEFAULT_PROFILE,
            status=TaskStatus(row["status"]),
            priority=row["priority"],
            created_at=datetime.fromisoformat(row["created_at"]),
            updated_at=datetime.fromisoformat(row["updated_at"]),
            run_after=_time(row["run_after"]),
            after=tuple(row["after"]),
            dedup_key=row["dedup_key"],
            max_attempts=row["max_attempts"],
            attempt=row["attempt"],
            infra_attempt=row["infra_attempt"],
            time_limit_s=_number(row["time_limit_s"]),
            budget_usd=_number(row["budget_usd"]),
            model=row["model"],
            tags=tuple(row["tags"]),
            system_id=row["system_id"],
            source=row["source"],
            fence=row["fence"],
            lease=_lease(row),
            run_id=row["run_id"],
            hold=_hold(row),
            cancel_requested_at=_time(row["cancel_requested_at"]),
            result=None if row["result"] is None else RESULTS.validate_python(row["result"]),
            labels=tuple(row["labels"]),
            fence_floor=row["fence_floor"],
        )


def read_result(document: object) -> TaskResult:
    with readable("a result"):
        return RESULTS.validate_python(document)


def read_project(row: Mapping[str, Any]) -> Project:
    with readable("a project"):
        return Project(row["name"], Path(row["path"] or ""), row["profile"], _time(row["created_at"]))


def read_system(row: Mapping[str, Any]) -> SystemView:
    with readable("a system"):
        return SystemView(
            system_id=row["system_id"],
            system_name=row["system_name"] or row["system_id"],
            version=row["version"] or "",
            max_agents=row["max_agents"] or 0,
            labels=tuple(row["labels"] or ()),
            draining=row["draining"],
            last_seen=datetime.fromisoformat(row["last_seen"]),
            connected_since=datetime.fromisoformat(row["connected_since"]),
            silent_s=float(row["silent_s"]),
            leased=row["leased"],
        )


def _time(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


def _number(value: float | None) -> float | None:
    return None if value is None else float(value)


def _lease(row: Mapping[str, Any]) -> Lease | None:
    if row["lease_system_id"] is None:
        return None
    return Lease(row["lease_system_id"], row["lease_boot_id"], datetime.fromisoformat(row["lease_expires_at"]))


def _hold(row: Mapping[str, Any]) -> Hold | None:
    if row["hold_reason"] is None:
        return None
    return Hold(HoldReason(row["hold_reason"]), row["hold_detail"] or "", _time(row["hold_until"]))
