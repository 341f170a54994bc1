"""The log of a real daemon: every fact once, no secret ever, and nobody stops it by moving its file."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
import pytest

from ccm_orchestrator.demo.sandbox import Sandbox
from tests.acceptance.worlds import wait_for, wait_status

CONFIG = """
[log]
format = "json"
level = "debug"

[supabase]
url = "http://127.0.0.1:9"
key = "supabase-key-canary"
jwt_secret = "jwt-secret-canary-of-32-characters-or-more"

[notifications.targets.phone]
url = "json://127.0.0.1:9/notice-canary"

[profiles.echo]
driver = "generic"
command = ["sh", "-c", "cat {prompt_file}; echo screen-canary; echo {marker_done}; exec sleep 600"]
env = { PROFILE_TOKEN = "profile-canary" }
"""
CANARIES = (
    *("supabase-key-canary", "jwt-secret-canary", "profile-canary", "environment-canary"),
    "notice-canary",
    *("task-canary", "screen-canary", "header-canary", "query-canary"),
)


@contextmanager
def daemon_with_secrets() -> Iterator[Sandbox]:
    with (
        TemporaryDirectory(prefix="ccm-", ignore_cleanup_errors=True) as name,
        Sandbox(Path(name), Path("/bin/true"), "http://127.0.0.1:9", CONFIG) as sandbox,
    ):
        sandbox.overrides["GITHUB_TOKEN"] = "environment-canary"
        (sandbox.home / ".config" / "ccm-orchestrator" / "config.toml").chmod(0o600)
        yield sandbox


def logs_of(sandbox: Sandbox) -> str:
    files = [*(sandbox.state / "logs").iterdir(), sandbox.directory / "serve.log"]
    return "\n".join(file.read_text() for file in files)


@pytest.mark.tmux
@pytest.mark.slow
def test_the_log_tells_every_fact_and_no_secret_wherever_it_lies() -> None:
    with daemon_with_secrets() as sandbox:
        daemon = sandbox.start_daemon()
        sandbox.run("project", "add", str(sandbox.project), "--name", "sample")
        arguments = ("--project", "sample", "--profile", "echo", "--json")
        added = sandbox.run("task", "add", "task-canary\n\x1b[2J forged", *arguments)
        task_id = json.loads(added.stdout)["task_id"]
        wait_status(sandbox, task_id, "succeeded")
        with httpx.Client(base_url=f"http://127.0.0.1:{sandbox.port}") as api:
            assert api.get("/api/status?apikey=query-canary", headers={"X-API-Key": "header-canary"}).status_code == 401
        current = sandbox.state / "logs" / "daemon.log"
        wait_for("the outcome in the log", lambda: '"task.succeeded"' in current.read_text(), sandbox)

        current.rename(current.with_name("moved.log"))
        daemon.send_signal(signal.SIGHUP)
        sandbox.run("task", "add", "again", *arguments)
        wait_for("a new log", lambda: current.exists() and '"task.created"' in current.read_text(), sandbox)
        token = (sandbox.state / "api-token").read_text().strip()
        internal = (sandbox.state / "internal-secret").read_text().strip()
        daemon.terminate()
        assert daemon.wait(15) == 0

        text = logs_of(sandbox)
        assert [secret for secret in (*CANARIES, token, internal) if secret in text] == []
        lines = [json.loads(line) for line in text.splitlines() if line]
        ours = [line for line in lines if line.get("task_id") == task_id]
        facts = [line["event"] for line in ours if "event" in line and line["level"] == "info"]
        assert facts[: len(facts) // 2] == ["task.created", "task.claimed", "task.running", "task.succeeded"]
        assert all(line["system_id"] == "demo" and line["at"].endswith("Z") for line in lines)
        assert all(line["run_id"] and line["agent"] for line in ours if line.get("event") == "task.succeeded")
