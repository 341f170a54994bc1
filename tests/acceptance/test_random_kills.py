"""SIGKILL at random instants, again and again, while short tasks run: each is carried out exactly once."""

from __future__ import annotations

import random
import time
from collections import Counter

import pytest

from ccm_orchestrator.demo.sandbox import Sandbox
from tests.acceptance.worlds import CONFIG, POLL_S, wait_for, world
from tests.invariants import AgentCensus, check_invariants

pytestmark = [pytest.mark.tmux, pytest.mark.slow]

TASKS = 30
KILLS = 8
STUB = """
[profiles.stub]
driver = "generic"
mode = "print"
command = ["sh", "-c", "echo $CCM_TASK_ID >> ran.log; sleep 0.7"]
"""


def test_every_task_runs_exactly_once_whatever_instant_the_daemon_is_killed_at() -> None:
    chance = random.Random(20)
    with world(CONFIG + STUB, head="lease_s = 30\nrenew_interval_s = 5\n") as sandbox, AgentCensus(sandbox):
        sandbox.start_daemon()
        tasks = {sandbox.insert_task("Run once.", profile="stub") for _ in range(TASKS)}
        for _ in range(KILLS):
            _let_run_for(chance.uniform(0.05, 0.6))
            sandbox.kill_daemon()
            sandbox.start_daemon()
        wait_for("the end of all tasks", lambda: not _open(sandbox), sandbox, 100)
        ran = Counter((sandbox.project / "ran.log").read_text().split())
        poisoned = {str(task) for (task,) in sandbox.query("SELECT task_id FROM tasks WHERE hold_reason = 'poison'")}
        done = {str(task) for (task,) in sandbox.query("SELECT task_id FROM tasks WHERE status = 'succeeded'")}
        assert done | poisoned == tasks, "a task was lost"
        assert {task: count for task, count in ran.items() if count != 1} == {}, "a task was run twice"
        assert done <= set(ran)
        check_invariants(sandbox)


def _let_run_for(seconds: float) -> None:
    """The instant of the kill is the input of this test."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        time.sleep(POLL_S / 5)


def _open(sandbox: Sandbox) -> list[tuple[object, ...]]:
    return sandbox.query("SELECT task_id FROM tasks WHERE status NOT IN ('succeeded', 'failed', 'cancelled', 'held')")
