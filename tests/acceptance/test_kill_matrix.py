"""SIGKILL of the daemon at every named point: nothing is lost, nothing is run twice, no outcome is stale."""

from __future__ import annotations

import subprocess

import pytest

from ccm_orchestrator.demo.sandbox import Sandbox
from ccm_orchestrator.engine.failpoints import FAIL_POINTS
from tests.acceptance.worlds import launches, wait_for, wait_status, world
from tests.invariants import AgentCensus, check_invariants

pytestmark = [pytest.mark.claude, pytest.mark.tmux, pytest.mark.slow]

PROMPT = "Write a greeting. [scenario:edit-and-run]"


def killed_at(sandbox: Sandbox, point: str, prompt: str = PROMPT, **columns: object) -> str:
    """Runs a daemon that dies at `point` while it carries out a task; returns the task's id."""
    daemon = sandbox.start_daemon(CCM_FAULTS__CRASH_AT=point)
    task_id = sandbox.insert_task(prompt, **columns)
    wait_for(f"the daemon's death at {point}", lambda: daemon.poll() is not None, sandbox)
    assert daemon.returncode == -9, sandbox.log_tail()
    sandbox.daemon = None
    return task_id


@pytest.mark.parametrize("point", FAIL_POINTS)
def test_a_daemon_killed_at(point: str) -> None:
    with world() as sandbox, AgentCensus(sandbox):
        task_id = killed_at(sandbox, point)
        sandbox.start_daemon()
        wait_status(sandbox, task_id, "succeeded", "failed", "held")
        check_invariants(sandbox)
        row = sandbox.query("SELECT status, attempt, infra_attempt FROM tasks WHERE task_id = ?", task_id)[0]
        assert row[0] == "succeeded", sandbox.log_tail()
        assert row[1] == 1, "a crash of the daemon consumed an attempt"
        assert launches(sandbox, task_id) == 1, "the agent was started more than once"
        assert (sandbox.project / "greeting.txt").read_text() == "hello, world\n"


def test_a_daemon_killed_while_an_agent_works_loses_no_hook_event() -> None:
    with world() as sandbox, AgentCensus(sandbox):
        sandbox.start_daemon()
        task_id = sandbox.insert_task("Work. [scenario:busy rounds=20 pause=0.1]")
        wait_for(
            "some tools",
            lambda: sandbox.query("SELECT 1 FROM events WHERE kind = 'tool_use_start' AND task_id = ?", task_id),
            sandbox,
        )
        for _ in range(2):
            sandbox.kill_daemon()
            sandbox.start_daemon()
        wait_status(sandbox, task_id, "succeeded", "failed", "held")
        check_invariants(sandbox)
        for kind in ("tool_use_start", "tool_use_complete"):
            rows = sandbox.query("SELECT count(*) FROM events WHERE task_id = ? AND kind = ?", task_id, kind)
            assert rows == [(20,)], kind
        assert launches(sandbox, task_id) == 1


def test_a_permission_outlives_the_daemon() -> None:
    with world() as sandbox:
        sandbox.start_daemon()
        task_id = sandbox.insert_task("Note the date. [scenario:ask-permission]", profile="careful")
        wait_status(sandbox, task_id, "waiting")
        sandbox.kill_daemon()
        sandbox.start_daemon()
        agent = str(sandbox.query("SELECT run_id FROM runs WHERE task_id = ?", task_id)[0][0])
        wait_for(
            "an answer taken",
            lambda: sandbox.run("agent", "approve", agent, check=False).returncode == 0,
            sandbox,
        )
        wait_status(sandbox, task_id, "succeeded", "failed", "held")
        assert (sandbox.project / "stamp.txt").exists()
        check_invariants(sandbox)


def test_a_second_daemon_on_the_same_state_refuses_to_start() -> None:
    with world() as sandbox:
        first = sandbox.start_daemon()
        done = subprocess.run(
            sandbox.cli("serve"), env=sandbox.env, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode != 0
        assert str(first.pid) in done.stderr and "Traceback" not in done.stderr


def test_sigterm_leaves_agents_running_and_the_next_daemon_finishes_them() -> None:
    with world() as sandbox, AgentCensus(sandbox):
        sandbox.start_daemon()
        task_id = sandbox.insert_task("Work. [scenario:slow-tool seconds=4]")
        wait_for(
            "a running tool",
            lambda: sandbox.query("SELECT 1 FROM events WHERE kind = 'tool_use_start' AND task_id = ?", task_id),
            sandbox,
        )
        assert sandbox.stop_daemon() == 0
        sandbox.start_daemon()
        wait_status(sandbox, task_id, "succeeded", "failed", "held")
        assert launches(sandbox, task_id) == 1
        check_invariants(sandbox)


def test_a_task_that_kills_the_daemon_three_times_is_held_as_poison() -> None:
    with world() as sandbox, AgentCensus(sandbox):
        sandbox.start_daemon()
        task_id = sandbox.insert_task("Work. [scenario:slow-tool seconds=60]")
        wait_status(sandbox, task_id, "running")
        for _ in range(3):
            sandbox.kill_daemon()
            sandbox.start_daemon()
        wait_status(sandbox, task_id, "held")
        assert sandbox.query("SELECT hold_reason FROM tasks") == [("poison",)]
        check_invariants(sandbox)
