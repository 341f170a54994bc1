"""Rows of the table `tasks`, which people may have written by hand, and the tasks that they mean."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from ccm_orchestrator.adapters.sqlite.documents import (
    Stored,
    document,
    json_text,
    optional_time_text,
    read_document,
    read_time,
    storable,
    time_text,
)
from ccm_orchestrator.domain.options import RunOptions
from ccm_orchestrator.domain.result import TaskResult
from ccm_orchestrator.domain.task import (
    DEFAULT_PROFILE,
    Hold,
    HoldReason,
    Lease,
    NewTask,
    Task,
    TaskStatus,
    problem_with,
)
from ccm_orchestrator.errors import StoreError

RESULTS = Stored(TaskResult)
OPTIONS = Stored(RunOptions)
SHOWN = 100
"""Characters of a bad value that its sentence quotes."""
UNREADABLE_TIME = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(slots=True)
class RowReader:
    """Reads what it can and notes what it cannot, so that one bad row breaks nothing else."""

    row: sqlite3.Row
    problems: list[str] = field(default_factory=list)

    def text(self, column: str) -> str:
        value = self.row[column]
        raw = value if isinstance(value, bytes) else str(value).encode("utf-8", "surrogateescape")
        text = raw.decode("utf-8", "replace")
        if text.encode() != raw:
            self.problems.append(f"Expected text in UTF-8 in `{column}`, got bytes that are not.")
        return text

    def optional_text(self, column: str) -> str | None:
        return None if self.row[column] is None else self.text(column)

    def time(self, column: str) -> datetime | None:
        text = self.optional_text(column)
        if text is None:
            return None
        try:
            return read_time(text)
        except ValueError:
            self.problems.append(f"Expected `{column}` to be a time like 2026-01-31T12:00:00Z, got: {text[:SHOWN]!r}.")
            return None

    def texts(self, column: str) -> tuple[str, ...]:
        text = self.text(column)
        values = read_texts(text)
        if values is None:
            self.problems.append(f'Expected `{column}` to be a JSON list of texts like ["one"], got: {text[:SHOWN]!r}.')
        return values or ()

    def result(self) -> TaskResult | None:
        text = self.optional_text("result")
        try:
            return None if text is None else read_document(RESULTS, text)
        except StoreError:
            self.problems.append("Expected `result` to be empty, or a result as the daemon writes it.")
            return None

    def options(self) -> RunOptions | None:
        text = self.optional_text("options")
        try:
            return None if text is None else read_document(OPTIONS, text)
        except StoreError:
            self.problems.append("Expected `options` to be empty, or options as the daemon writes them.")
            return None

    def hold(self) -> Hold | None:
        if self.row["hold_reason"] is None:
            return None
        try:
            reason = HoldReason(self.text("hold_reason"))
        except ValueError:
            reason = HoldReason.APPROVAL
        return Hold(reason, self.optional_text("hold_detail") or "", self.time("hold_until"))

    def lease(self) -> Lease | None:
        owner, boot_id, expires_at = self.optional_text("lease_system_id"), self.row["lease_boot_id"], None
        if owner is not None:
            expires_at = self.time("lease_expires_at")
        if owner is None or expires_at is None:
            return None
        return Lease(owner, str(boot_id or ""), expires_at)


@lru_cache(maxsize=20_000)
def read_texts(text: str | bytes) -> tuple[str, ...] | None:
    """None when it is not a JSON list of texts."""
    if text == "[]":
        return ()
    try:
        values = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        return None
    return tuple(storable(value) for value in values)


def read_task(row: sqlite3.Row) -> tuple[Task, list[str]]:
    """The task, and what is wrong with the row that it came from."""
    reader = RowReader(row)
    task = Task(
        task_id=reader.text("task_id"),
        project=reader.text("project"),
        prompt=reader.text("prompt"),
        profile=reader.optional_text("profile") or DEFAULT_PROFILE,
        status=TaskStatus(row["status"]),
        priority=row["priority"],
        created_at=reader.time("created_at") or UNREADABLE_TIME,
        updated_at=reader.time("updated_at") or UNREADABLE_TIME,
        run_after=reader.time("run_after"),
        after=reader.texts("after"),
        dedup_key=reader.optional_text("dedup_key"),
        max_attempts=row["max_attempts"],
        attempt=row["attempt"],
        infra_attempt=row["infra_attempt"],
        time_limit_s=row["time_limit_s"],
        budget_usd=row["budget_usd"],
        model=reader.optional_text("model"),
        tags=reader.texts("tags"),
        labels=reader.texts("labels"),
        system_id=reader.optional_text("system_id"),
        source=reader.text("source"),
        fence=row["fence"],
        lease=reader.lease(),
        run_id=reader.optional_text("run_id"),
        hold=reader.hold(),
        cancel_requested_at=reader.time("cancel_requested_at"),
        result=reader.result(),
        fence_floor=row["fence_floor"],
        owner=reader.optional_text("owner"),
        options=reader.options(),
    )
    return task, reader.problems


def problem_with_row(task: Task, problems: list[str]) -> str | None:
    """Why a queued row that was read as this task cannot be carried out."""
    if problems:
        return problems[0]
    wish = NewTask(task.project, task.prompt, task.profile, max_attempts=task.max_attempts, labels=task.labels)
    return problem_with(wish)


def columns(task: Task) -> dict[str, Any]:
    """Its values by column. `seq` and `claim_request` are the store's own."""
    return {
        "task_id": task.task_id,
        "project": task.project,
        "prompt": task.prompt,
        "profile": task.profile,
        "status": task.status.value,
        "priority": task.priority,
        "created_at": time_text(task.created_at),
        "updated_at": time_text(task.updated_at),
        "run_after": optional_time_text(task.run_after),
        "after": json_text(task.after),
        "dedup_key": task.dedup_key,
        "max_attempts": task.max_attempts,
        "attempt": task.attempt,
        "infra_attempt": task.infra_attempt,
        "time_limit_s": task.time_limit_s,
        "budget_usd": task.budget_usd,
        "model": task.model,
        "tags": json_text(task.tags),
        "labels": json_text(task.labels),
        "system_id": task.system_id,
        "source": task.source,
        "fence": task.fence,
        "fence_floor": task.fence_floor,
        "lease_system_id": task.lease.system_id if task.lease else None,
        "lease_boot_id": task.lease.boot_id if task.lease else None,
        "lease_expires_at": time_text(task.lease.expires_at) if task.lease else None,
        "run_id": task.run_id,
        "hold_reason": task.hold.reason.value if task.hold else None,
        "hold_detail": storable(task.hold.detail) if task.hold else None,
        "hold_until": optional_time_text(task.hold.until) if task.hold else None,
        "cancel_requested_at": optional_time_text(task.cancel_requested_at),
        "result": document(task.result) if task.result else None,
        "owner": task.owner,
        "options": document(task.options) if task.options else None,
    }
