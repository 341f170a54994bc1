"""The kill switch with real agents: everything ends within 15 seconds, also when the daemon does not answer."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from ccm_orchestrator.adapters.rundir import processes
from ccm_orchestrator.demo.sandbox import Sandbox
from tests.acceptance.test_faults import working
from tests.acceptance.worlds import status, wait_for, wait_status, world

pytestmark = [pytest.mark.claude, pytest.mark.tmux, pytest.mark.slow]

LONG = "Take your time. [scenario:slow-tool seconds=300]"
LIMIT_S = 15.0


def living(sandbox: Sandbox) -> list[str]:
    """Runs of which processes are left."""
    runs = [str(run) for (run,) in sandbox.query("SELECT run_id FROM runs")]
    return [run for run in runs if processes.of_run(run, [], None)]


@contextmanager
def within(limit_s: float) -> Iterator[None]:
    began = time.monotonic()
    yield
    assert time.monotonic() - began < limit_s


def test_attack_54_one_command_ends_every_agent_and_begins_nothing_new() -> None:
    with world() as sandbox:
        sandbox.start_daemon()
        tasks = [working(sandbox, LONG), working(sandbox, LONG)]
        with within(LIMIT_S):
            said = json.loads(sandbox.run("stop-all", "--json").stdout)
        assert living(sandbox) == [] and len(said["agents"]) == 2 and said["surviving"] == []
        wait_for("cancelled tasks", lambda: {status(sandbox, task) for task in tasks} == {"cancelled"}, sandbox)
        waiting = sandbox.insert_task("Say hello.")
        (entry, *_) = json.loads(sandbox.run("audit", "list", "--json").stdout)["items"]
        assert (entry["action"], entry["caller"], entry["status"]) == ("POST /api/stop-all", "local", 200)
        assert entry["after"]["agents"] == said["agents"]
        assert status(sandbox, waiting) == "queued"
        sandbox.run("system", "drain", "--off")
        wait_status(sandbox, waiting, "succeeded")


def test_attack_54_a_daemon_that_hangs_keeps_no_agent_alive() -> None:
    with world() as sandbox:
        daemon = sandbox.start_daemon()
        task_id = working(sandbox, LONG)
        os.kill(daemon.pid, signal.SIGSTOP)
        try:
            with within(LIMIT_S):
                said = json.loads(sandbox.run("stop-all", "--json").stdout)
            assert living(sandbox) == [] and len(said["agents"]) == 1
        finally:
            os.kill(daemon.pid, signal.SIGCONT)
        wait_status(sandbox, task_id, "cancelled")
        assert sandbox.query("SELECT draining FROM systems") == [(1,)]
