"""`doctor --prove` with a real daemon and a real agent: the daemon is another one afterwards, the agent the same."""

from __future__ import annotations

import os
import signal

import psutil
import pytest

from ccm_orchestrator.setup.daemon_checks import holder
from tests.acceptance.worlds import wait_for, world

pytestmark = [pytest.mark.claude, pytest.mark.tmux, pytest.mark.slow]


def test_the_daemon_is_replaced_and_the_agent_goes_on() -> None:
    with world() as sandbox:
        assert "No daemon runs" in sandbox.run("doctor", "--prove", "--yes", check=False).stderr
        before = sandbox.start_daemon()
        assert "nobody to ask" in sandbox.run("doctor", "--prove", check=False).stderr and before.poll() is None
        said = sandbox.run("doctor", "--prove", "--yes", check=False, limit_s=150)
        assert said.returncode == 0, said.stdout + said.stderr + sandbox.log_tail()
        after = holder(sandbox.state)
        try:
            assert before.wait(5) == 0 and after is not None and after.pid not in (None, before.pid)
            assert "lives, and so does its command" in said.stdout and "succeeded, in its first attempt" in said.stdout
            assert sandbox.query("SELECT count(*) FROM runs") == [(1,)]
            assert [row[0] for row in sandbox.query("SELECT name FROM projects")] == ["sample"]
        finally:
            if after is not None and after.pid:
                os.kill(after.pid, signal.SIGTERM)
                wait_for("the end of the daemon", lambda: not psutil.pid_exists(after.pid or 0), sandbox)


def test_a_daemon_that_is_stopped_is_found_and_goes_on_by_the_hint() -> None:
    with world() as sandbox:
        daemon = sandbox.start_daemon()
        daemon.send_signal(signal.SIGSTOP)
        found = sandbox.run("doctor", "--only", "daemon", check=False)
        assert found.returncode == 1 and f"$ kill -CONT {daemon.pid}" in found.stdout
        daemon.send_signal(signal.SIGCONT)
        assert sandbox.run("doctor", "--only", "daemon").returncode == 0
