"""Orders and runs for the tests of this directory."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ccm_orchestrator.domain.profiles import Profile
from ccm_orchestrator.domain.run import Mode, Run, RunState
from ccm_orchestrator.ports.agents import LaunchOrder

RUN_ID = "1f3c9a2b" * 4
SESSION_ID = "11111111-2222-4333-8444-555555555555"
NOW = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)


def a_run(cwd: Path = Path("/home/user/proj"), mode: Mode = Mode.INTERACTIVE, **changes: Any) -> Run:
    run = Run(
        run_id=RUN_ID,
        task_id="task-1",
        fence=1,
        attempt=1,
        term=1,
        state=RunState.INTENDED,
        project="proj",
        cwd=cwd,
        profile="executor",
        driver="claude",
        mode=mode,
        session_id=SESSION_ID,
        resumed=False,
        created_at=NOW,
    )
    return replace(run, **changes)


def an_order(**changes: Any) -> LaunchOrder:
    order = LaunchOrder(
        run=a_run(),
        prompt="Fix the test",
        profile=Profile("executor"),
        model=None,
        budget_usd=None,
        run_directory=Path("/state/runs/RUN"),
        spool_directory=Path("/state/spool/RUN"),
        permission_url="http://127.0.0.1:8765/internal/permission/RUN",
        token="secret-token",
    )
    return replace(order, **changes)
