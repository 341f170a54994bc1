"""Faults around the daemon, with real processes: agents, launchers, tmux, disks, databases, threads."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from ccm_orchestrator.demo.sandbox import Sandbox
from ccm_orchestrator.engine.failpoints import RUN_INGESTED
from tests.acceptance.worlds import CONFIG, launches, wait_for, wait_status, world
from tests.invariants import AgentCensus, check_invariants

pytestmark = [pytest.mark.claude, pytest.mark.tmux, pytest.mark.slow]

SLOW = "Take your time. [scenario:slow-tool seconds=3]"
ENDED = ("succeeded", "failed", "held", "cancelled")


def record(sandbox: Sandbox, task_id: str) -> dict[str, object]:
    """`run.json` of the task's newest run."""
    run = sandbox.query("SELECT run_id FROM runs WHERE task_id = ? ORDER BY created_at DESC LIMIT 1", task_id)[0][0]
    loaded: dict[str, object] = json.loads((sandbox.state / "runs" / str(run) / "run.json").read_text())
    return loaded


def process(sandbox: Sandbox, task_id: str, which: str) -> int:
    entry = record(sandbox, task_id)[which]
    assert isinstance(entry, dict)
    return int(entry["pid"])


def working(sandbox: Sandbox, prompt: str = SLOW, **columns: object) -> str:
    """A task whose agent is in the middle of a tool."""
    task_id = sandbox.insert_task(prompt, **columns)
    wait_for(
        "a running tool",
        lambda: sandbox.query("SELECT 1 FROM events WHERE kind = 'tool_use_start' AND task_id = ?", task_id),
        sandbox,
    )
    return task_id


def tmux_pid(sandbox: Sandbox) -> int:
    shown = subprocess.run(
        sandbox.tmux("display-message", "-p", "#{pid}"), capture_output=True, text=True, check=True, timeout=20
    )
    return int(shown.stdout)


def _conversation(sandbox: Sandbox) -> str:
    """All transcripts of the sandbox."""
    return "".join(path.read_text() for path in (sandbox.home / ".claude" / "projects").glob("*/*.jsonl"))


def failure_kinds(sandbox: Sandbox, task_id: str) -> list[object]:
    """Of all runs of the task, once they are put away, which is a moment after the task has ended."""
    open_runs = "SELECT 1 FROM runs WHERE task_id = ? AND state <> 'ended'"
    wait_for("the end of all runs", lambda: not sandbox.query(open_runs, task_id), sandbox)
    return [
        kind
        for (kind,) in sandbox.query(
            "SELECT json_extract(run, '$.failure_kind') FROM runs WHERE task_id = ? ORDER BY created_at", task_id
        )
    ]


def test_a_killed_agent_is_noticed_at_once_and_its_task_is_retried() -> None:
    with world() as sandbox, AgentCensus(sandbox):
        sandbox.start_daemon()
        task_id = working(sandbox)
        os.kill(process(sandbox, task_id, "agent"), signal.SIGKILL)
        wait_status(sandbox, task_id, "queued", limit_s=10)
        wait_status(sandbox, task_id, *ENDED)
        assert sandbox.query("SELECT status, attempt FROM tasks") == [("succeeded", 2)]
        assert failure_kinds(sandbox, task_id) == ["agent_exit", None]
        check_invariants(sandbox)


def test_a_killed_launcher_takes_its_agent_along_and_the_run_is_resumed() -> None:
    with world() as sandbox, AgentCensus(sandbox):
        sandbox.start_daemon()
        task_id = working(sandbox, "Work. [scenario:busy rounds=6 pause=0.3]")
        wait_for("a kept conversation", lambda: _conversation(sandbox).count('"type":"assistant"') > 2, sandbox)
        session = sandbox.query("SELECT json_extract(run, '$.session_id') FROM runs")[0][0]
        agent = process(sandbox, task_id, "agent")
        os.kill(process(sandbox, task_id, "launcher"), signal.SIGKILL)
        wait_for("the agent's end", lambda: not Path(f"/proc/{agent}").exists(), sandbox, 10)
        wait_status(sandbox, task_id, *ENDED)
        assert sandbox.query("SELECT status, attempt FROM tasks") == [("succeeded", 1)], "no attempt is consumed"
        assert failure_kinds(sandbox, task_id) == ["lost", None]
        assert sandbox.query("SELECT DISTINCT json_extract(run, '$.session_id') FROM runs") == [(session,)], (
            "the conversation goes on"
        )
        check_invariants(sandbox)


def test_a_killed_tmux_server_loses_no_task() -> None:
    with world() as sandbox, AgentCensus(sandbox):
        sandbox.start_daemon()
        task_id = working(sandbox)
        os.kill(tmux_pid(sandbox), signal.SIGKILL)
        wait_status(sandbox, task_id, "queued", limit_s=20)
        wait_status(sandbox, task_id, *ENDED)
        assert sandbox.query("SELECT status, attempt FROM tasks") == [("succeeded", 1)]
        assert failure_kinds(sandbox, task_id) == ["lost", None]
        check_invariants(sandbox)


def test_a_hung_tmux_server_kills_and_starts_nothing() -> None:
    with world() as sandbox, AgentCensus(sandbox):
        sandbox.start_daemon()
        task_id = working(sandbox)
        server = tmux_pid(sandbox)
        os.kill(server, signal.SIGSTOP)
        try:
            sandbox.kill_daemon()
            sandbox.start_daemon()
            with sandbox.api() as api:
                assert api.get("/health/tmux").status_code == 503
            assert launches(sandbox, task_id) == 1
        finally:
            os.kill(server, signal.SIGCONT)
        wait_status(sandbox, task_id, *ENDED)
        assert sandbox.query("SELECT status, attempt FROM tasks") == [("succeeded", 1)]
        assert launches(sandbox, task_id) == 1
        check_invariants(sandbox)


def test_a_stopped_daemon_goes_on_where_it_was() -> None:
    with world(head="lease_s = 3\nrenew_interval_s = 1\n") as sandbox, AgentCensus(sandbox):
        daemon = sandbox.start_daemon()
        task_id = working(sandbox, "Take your time. [scenario:slow-tool seconds=6]")
        daemon.send_signal(signal.SIGSTOP)
        agent = process(sandbox, task_id, "agent")
        wait_for("the agent's idle prompt", lambda: _registry(sandbox, agent) == "idle", sandbox, 30)
        daemon.send_signal(signal.SIGCONT)
        wait_status(sandbox, task_id, *ENDED)
        assert sandbox.query("SELECT status, attempt FROM tasks") == [("succeeded", 1)]
        assert launches(sandbox, task_id) == 1
        check_invariants(sandbox)


def _registry(sandbox: Sandbox, pid: int) -> str:
    with contextlib.suppress(OSError, ValueError):
        return str(json.loads((sandbox.home / ".claude" / "sessions" / f"{pid}.json").read_text())["status"])
    return ""


def test_a_hung_orchestrator_is_replaced_and_harmless_when_it_wakes() -> None:
    with world(head="watchdog_s = 3\n") as sandbox, AgentCensus(sandbox):
        release = sandbox.directory / "wake-up"
        sandbox.start_daemon(CCM_FAULTS__HANG_AT=RUN_INGESTED, CCM_FAULTS__HANG_UNTIL=str(release))
        task_id = sandbox.insert_task("Work. [scenario:busy rounds=15 pause=0.2]")
        wait_for(
            "an incident",
            lambda: sandbox.query("SELECT 1 FROM events WHERE kind = 'daemon.incident'"),
            sandbox,
        )
        release.touch()
        wait_status(sandbox, task_id, *ENDED)
        assert sandbox.query("SELECT status, attempt FROM tasks") == [("succeeded", 1)], sandbox.log_tail()
        assert launches(sandbox, task_id) == 1
        assert "orchestrator" in (sandbox.state / "logs" / "stacks.log").read_text()
        check_invariants(sandbox)


def test_a_silent_agent_is_nudged_and_then_retried() -> None:
    config = CONFIG + '\n[profiles.impatient]\npermission_mode = "acceptEdits"\ninactivity_limit_s = 2\n'
    with world(config) as sandbox, AgentCensus(sandbox):
        sandbox.start_daemon()
        task_id = sandbox.insert_task("Say nothing. [scenario:hang]", profile="impatient", max_attempts=1)
        wait_for("a nudge", lambda: sandbox.query("SELECT 1 FROM events WHERE kind = 'agent.nudged'"), sandbox, 30)
        wait_status(sandbox, task_id, "failed", limit_s=110)
        assert failure_kinds(sandbox, task_id) == ["inactivity"]
        check_invariants(sandbox)


def test_an_agent_that_runs_out_of_time_is_ended() -> None:
    with world() as sandbox:
        sandbox.start_daemon()
        task_id = working(sandbox, "Work. [scenario:slow-tool seconds=60]", time_limit_s=12, max_attempts=1)
        agent = process(sandbox, task_id, "agent")
        wait_status(sandbox, task_id, "failed")
        assert failure_kinds(sandbox, task_id) == ["time_limit"]
        assert not Path(f"/proc/{agent}").exists()


def test_a_damaged_database_is_restored_and_the_agent_is_not_lost() -> None:
    with world() as sandbox:
        sandbox.start_daemon()
        done = sandbox.insert_task("Say hello. [scenario:chat]")
        wait_status(sandbox, done, "succeeded")
        sandbox.stop_daemon()
        database = sandbox.state / "ccm.db"
        database.write_bytes(b"this is no database at all" * 400)
        sandbox.start_daemon()
        with sandbox.api() as api:
            events = api.get("/api/tasks").json()
        assert events is not None
        assert [path for path in sandbox.state.iterdir() if "damaged" in path.name], "the old file is kept"
        incidents = sandbox.query("SELECT data FROM events WHERE kind = 'daemon.incident'")
        assert "damaged" in str(incidents[0][0])


@pytest.mark.skipif(os.geteuid() != 0, reason="a small file system can be mounted by root only")
def test_a_full_disk_stops_intake_and_hurts_no_agent() -> None:
    with world() as sandbox, small_state(sandbox):
        sandbox.run("project", "add", str(sandbox.project), "--name", "sample")
        sandbox.start_daemon()
        task_id = working(sandbox, "Work. [scenario:busy rounds=12 pause=0.3]")
        with filled(sandbox):
            refused = sandbox.run("task", "add", "Something " * 400, "--project", "sample", check=False)
        wait_status(sandbox, task_id, *ENDED)
        assert refused.returncode != 0 and "Traceback" not in refused.stderr, "nothing is accepted that is not stored"
        assert sandbox.query("SELECT status FROM tasks WHERE task_id = ?", task_id) == [("succeeded",)]
        check_invariants(sandbox)


@pytest.mark.skipif(os.geteuid() != 0, reason="a small file system can be mounted by root only")
def test_a_disk_that_runs_full_is_an_incident_until_there_is_space_again() -> None:
    found = "SELECT recovered_at IS NOT NULL, recovered_by FROM incidents WHERE kind = 'disk_full'"
    with world() as sandbox, small_state(sandbox, "64m"):
        sandbox.start_daemon()
        disk, filler = os.statvfs(sandbox.state), sandbox.state / "filler"
        filler.write_bytes(b"x" * (disk.f_bavail * disk.f_frsize - 600_000))  # under two hundredths, and no error yet
        wait_for("a row of the full disk", lambda: sandbox.query(found) == [(0, None)], sandbox)
        filler.unlink()
        wait_for("its end", lambda: sandbox.query(found) == [(1, "free space")], sandbox)
        check_invariants(sandbox)


@contextlib.contextmanager
def filled(sandbox: Sandbox) -> Iterator[None]:
    """Not a byte is left for its state."""
    filler = sandbox.state / "filler"
    with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(b"x" * 65536)
    yield
    filler.unlink()


@contextlib.contextmanager
def small_state(sandbox: Sandbox, size: str = "6m") -> Iterator[None]:
    """Its state on a file system of its own."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size},mode=700", "tmpfs", str(sandbox.state)], check=True)
    try:
        yield
    finally:
        sandbox.kill_daemon()
        subprocess.run(sandbox.tmux("kill-server"), capture_output=True, check=False, timeout=20)
        subprocess.run(["umount", "-l", str(sandbox.state)], check=True)
