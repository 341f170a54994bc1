"""Answers of the database are read into our own types, or refused in one sentence."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from ccm_orchestrator.adapters.supabase.rows import read_project, read_result, read_system, read_task
from ccm_orchestrator.domain.task import Hold, HoldReason, Lease, TaskStatus
from ccm_orchestrator.errors import StoreError
from ccm_orchestrator.ports.tasks import Project

AT = "2026-01-02T03:04:05.000006+00:00"
MOMENT = datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC)
TASK: dict[str, Any] = {
    **{"task_id": "t-01", "project": "demo", "prompt": "Mend it", "profile": None, "status": "queued", "priority": 0},
    **{"created_at": AT, "updated_at": AT, "run_after": None, "after": [], "dedup_key": None, "max_attempts": 2},
    **{"attempt": 0, "infra_attempt": 0, "time_limit_s": 5, "budget_usd": None, "model": None, "tags": ["a"]},
    **{
        "labels": ["gpu"],
        "system_id": None,
        "source": "supabase",
        "fence": 3,
        "fence_floor": 1,
        "lease_system_id": None,
    },
    **{"lease_boot_id": None, "lease_expires_at": None, "run_id": None, "hold_reason": None, "hold_detail": None},
    **{"hold_until": None, "cancel_requested_at": None, "result": None},
}
SYSTEM: dict[str, Any] = {
    **{"system_id": "here", "system_name": None, "version": None, "max_agents": None, "labels": ["gpu"]},
    **{"draining": False, "last_seen": AT, "connected_since": AT, "silent_s": 3, "leased": 2},
}


def test_a_row_that_somebody_inserted_with_the_least() -> None:
    task = read_task(TASK)
    assert (task.profile, task.tags, task.labels, task.after) == ("executor", ("a",), ("gpu",), ())
    assert (task.created_at, task.lease, task.hold, task.result) == (MOMENT, None, None, None)
    assert (task.fence, task.fence_floor) == (3, 1)
    assert isinstance(task.time_limit_s, float)


def test_lease_hold_and_result_become_values() -> None:
    leased = TASK | {"status": "claimed", "lease_system_id": "here", "lease_boot_id": "b", "lease_expires_at": AT}
    assert read_task(leased).lease == Lease("here", "b", MOMENT)
    held = TASK | {"status": "held", "hold_reason": "budget", "hold_detail": "too dear", "hold_until": AT}
    assert read_task(held).hold == Hold(HoldReason.BUDGET, "too dear", MOMENT)
    ended = read_task(TASK | {"status": "failed", "result": {"outcome": "failed", "text": "x"}})
    assert ended.status is TaskStatus.FAILED and ended.result is not None and ended.result.text == "x"


def test_what_a_newer_schema_adds_is_passed_over() -> None:
    assert read_task(TASK | {"more": 1}) == read_task(TASK)


def test_projects_and_systems() -> None:
    row = {"name": "demo", "path": "/demo", "profile": None, "created_at": AT}
    assert read_project(row) == Project("demo", Path("/demo"), None, MOMENT)
    system = read_system(SYSTEM)
    assert (system.system_name, system.version, system.max_agents, system.labels) == ("here", "", 0, ("gpu",))
    assert (system.last_seen, system.silent_s, system.leased) == (MOMENT, 3.0, 2)


@pytest.mark.parametrize(
    ("read", "row"),
    [
        (read_task, {}),
        (read_task, TASK | {"status": "paused"}),
        (read_task, TASK | {"created_at": "yesterday"}),
        (read_task, TASK | {"created_at": None}),
        (read_task, TASK | {"after": None}),
        (read_task, TASK | {"hold_reason": "mood"}),
        (read_task, TASK | {"lease_system_id": "here"}),
        (read_task, TASK | {"time_limit_s": "long"}),
        (read_task, TASK | {"result": {"outcome": "won"}}),
        (read_task, "text"),
        (read_task, None),
        (read_project, {}),
        (read_system, {}),
        (read_system, SYSTEM | {"last_seen": 5}),
        (read_result, []),
    ],
)
def test_anything_else_is_refused_in_one_sentence(read: Callable[[Any], object], row: Any) -> None:
    with pytest.raises(StoreError, match=r"Supabase answered with a .* that cannot be read \(.*\): upgrade"):
        read(row)
