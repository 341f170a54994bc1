"""The one-file binary does what the package does, where no Python is: commands, the demo, and a daemon's whole life."""

from __future__ import annotations

import json
import subprocess
from contextlib import closing
from pathlib import Path
from sqlite3 import connect as open_database

import psutil
import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from websockets.sync.client import connect

from ccm_orchestrator import __version__
from ccm_orchestrator.adapters.sqlite.migrations import shipped_migrations
from ccm_orchestrator.cli.exits import Exit
from tests.acceptance.test_traces import collector
from tests.acceptance.worlds import CONFIG, wait_for, wait_status
from tests.claude import claude_binary, claude_versions
from tests.docs.source import CHECKOUT
from tests.packages.conftest import BinarySandbox
from tests.receiver import receiving

pytestmark = [pytest.mark.tmux, pytest.mark.slow, pytest.mark.timeout(300)]
OLDEST = CHECKOUT / "tests" / "compat" / "sqlite-schema-0001.sql"
WAITER = """
[traces]
enabled = true
[profiles.waiter]
driver = "generic"
command = ["sh", "-c", "while [ ! -e go ]; do sleep 0.1; done; echo {marker_done}"]
"""


def test_commands_that_need_no_daemon(sandbox: BinarySandbox) -> None:
    assert sandbox.run("--version").stdout == f"ccm-orchestrator {__version__}\n"
    assert "task wait" in sandbox.run("task", "wait", "--help").stdout
    for shell, file in (("bash", "ccm-orchestrator"), ("zsh", "_ccm-orchestrator"), ("fish", "ccm-orchestrator.fish")):
        assert sandbox.run("completion", shell).stdout.strip() == (CHECKOUT / "completions" / file).read_text().strip()
    checks = json.loads(sandbox.run("doctor", "--json").stdout)
    assert [check for check in checks if check["verdict"] == "fail"] == []
    assert "stays as it is" in sandbox.run("init", "--yes", "--dry-run").stdout
    told = sandbox.run("update", "--check").stdout
    assert "one-file binary" in told and f"install -m 755 NEW-BINARY {sandbox.binary}" in " ".join(told.split())
    assert sandbox.run("update", check=False).returncode == Exit.BAD_INPUT


@pytest.mark.claude
def test_the_demo(binary: Path, programs: Path, temporary: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    env = {"PATH": str(programs), "HOME": str(home), "LANG": "C.UTF-8", "TMPDIR": str(temporary)}
    claude = claude_binary(claude_versions()[-1])
    argv = [str(binary), "demo", "--claude", str(claude)]
    done = subprocess.run(argv, env=env, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0 and "Everything went as it should" in done.stdout, done.stdout + done.stderr
    assert [*home.iterdir(), *temporary.iterdir()] == [], "nothing is left, not even what was unpacked"


@pytest.mark.claude
@pytest.mark.parametrize("sandbox", [CONFIG], indirect=True)
def test_a_task_by_claude_code_with_its_hooks_and_an_answered_permission(sandbox: BinarySandbox) -> None:
    sandbox.start_daemon()
    sandbox.run("project", "add", str(sandbox.project), "--name", "sample")
    edits = sandbox.insert_task("Write a greeting. [scenario:edit-and-run]", profile="marked")
    asks = sandbox.insert_task("Note the date. [scenario:ask-permission]", profile="careful")
    wait_status(sandbox, asks, "waiting")
    wait_for("an open request", lambda: sandbox.query("SELECT 1 FROM permissions"), sandbox)
    (asked,) = json.loads(sandbox.run("agent", "permissions", "--json").stdout)
    sandbox.run("agent", "approve", asked["request_id"])
    for task_id in (edits, asks):
        wait_status(sandbox, task_id, "succeeded", "failed", "held")
        assert json.loads(sandbox.run("task", "show", task_id, "--json").stdout)["status"] == "succeeded"
    assert sandbox.query("SELECT count(*) FROM events WHERE kind = 'file_write' OR kind = 'file_edit'") != [(0,)]


@pytest.mark.parametrize("sandbox", [WAITER], indirect=True)
def test_a_daemons_life(sandbox: BinarySandbox) -> None:
    """It migrates, answers, tells people, is killed while an agent works, takes it over, and is told to stop."""
    with closing(open_database(sandbox.state / "ccm.db")) as database:
        database.executescript(OLDEST.read_text())
        database.execute("DELETE FROM tasks")
        database.commit()
    spans: list[Span] = []
    with receiving() as receiver, collector(spans) as traces:
        config = sandbox.home / ".config" / "ccm-orchestrator" / "config.toml"
        config.write_text(config.read_text() + f'[notifications.targets.board]\nurl_file = "{receiver.url_file}"\n')
        sandbox.overrides |= {"OTEL_EXPORTER_OTLP_ENDPOINT": traces}
        sandbox.start_daemon()
        names = {name for (name,) in sandbox.query("SELECT name FROM schema_migrations")}
        assert names == set(shipped_migrations())

        sandbox.run("notify", "test")
        assert [told["message"] for told in receiver.got] == ["Messages arrive here."]
        check_doors(sandbox)

        sandbox.run("project", "add", str(sandbox.project), "--name", "sample")
        added = sandbox.run("task", "add", "Wait", "--project", "sample", "--profile", "waiter", "--json").stdout
        task_id = json.loads(added)["task_id"]
        wait_status(sandbox, task_id, "running")
        sandbox.kill_daemon()
        daemon = sandbox.start_daemon()
        (sandbox.project / "go").touch()
        wait_status(sandbox, task_id, "succeeded")
        assert sandbox.query("SELECT count(*) FROM runs WHERE task_id = ?", task_id) == [(1,)]
        assert "ready" in sandbox.run("logs", "--daemon").stdout

        children = psutil.Process(daemon.pid).children(recursive=True)
        daemon.terminate()
        assert daemon.wait(20) == 0
        assert psutil.wait_procs(children, timeout=10)[1] == []
        assert {span.name for span in spans} == {"task", "invoke_agent"}


def check_doors(sandbox: BinarySandbox) -> None:
    with sandbox.api() as api:
        assert api.get("/api/status").json()["version"] == __version__
        assert "ccm_" in api.get("/metrics").raise_for_status().text
        where, headers = f"ws://127.0.0.1:{sandbox.port}/ws", {"Authorization": api.headers["Authorization"]}
    with connect(where, additional_headers=headers, proxy=None) as live:
        assert json.loads(live.recv(10))["type"]
