"""`doctor --prove` with a real daemon and a real agent: the daemon is another one afterwards, the agent the same."""

from __future__ import annotations

import os
import re
import signal
from subprocess import PIPE, Popen

import psutil
import pytest

from ccm_orchestrator.demo.sandbox import Sandbox
from ccm_orchestrator.setup.daemon_checks import Holder, holder
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
            _end(after, sandbox)


def test_an_agent_that_ends_with_the_daemon_is_no_proof() -> None:
    with world() as sandbox:
        before = sandbox.start_daemon()
        proving = Popen(sandbox.cli("doctor", "--prove", "--yes"), env=sandbox.env, text=True, stdout=PIPE, stderr=PIPE)
        assert proving.stdout is not None
        said = ""
        while not (agent := re.search(r"Its agent \(process (\d+)\) runs", said)):
            line = proving.stdout.readline()
            assert line, said
            said += line
        wait_for("the end of the daemon", lambda: before.poll() is not None, sandbox)
        os.kill(int(agent[1]), signal.SIGKILL)
        _, error = proving.communicate(timeout=90)
        assert proving.returncode == 1 and f"The agent (process {agent[1]}) did not outlive the daemon" in error, error
        assert [row[0] for row in sandbox.query("SELECT name FROM projects")] == ["sample"]
        _end(holder(sandbox.state), sandbox)


def test_a_daemon_that_is_stopped_is_found_and_goes_on_by_the_hint() -> None:
    with world() as sandbox:
        daemon = sandbox.start_daemon()
        daemon.send_signal(signal.SIGSTOP)
        found = sandbox.run("doctor", "--only", "daemon", check=False)
        assert found.returncode == 1 and f"$ kill -CONT {daemon.pid}" in found.stdout
        daemon.send_signal(signal.SIGCONT)
        assert sandbox.run("doctor", "--only", "daemon").returncode == 0


def _end(daemon: Holder | None, sandbox: Sandbox) -> None:
    """One that the sandbox did not start itself."""
    if daemon is not None and (pid := daemon.pid):
        os.kill(pid, signal.SIGTERM)
        wait_for("the end of the daemon", lambda: not psutil.pid_exists(pid), sandbox)
