"""Secrets stay where they belong, with a real daemon and a real agent: no process, no log and no file tells them."""

from __future__ import annotations

import json
import os
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from ccm_orchestrator.demo.sandbox import Sandbox
from ccm_orchestrator.security.secrets import API_TOKEN_FILE, INTERNAL_SECRET_FILE, read_secret
from ccm_orchestrator.wiring.failed_start import LAST_TARGETS
from tests.acceptance.test_faults import working
from tests.acceptance.worlds import CONFIG, wait_for, world

pytestmark = [pytest.mark.claude, pytest.mark.tmux, pytest.mark.slow]

CANARIES = {
    "CCM_SUPABASE__KEY": "sb_secret_canary-of-the-project",
    "CCM_SUPABASE__JWT_SECRET": "canary-with-which-tokens-are-signed-for-anybody",
    "TELEGRAM_TOKEN": "canary-of-somebody-else",
    "AWS_SECRET_ACCESS_KEY": "canary-of-a-cloud",
}
IN_ADDRESSES = {
    "CCM_NOTIFICATIONS__TARGETS__PHONE__URL": "json://user:password-canary@127.0.0.1:9/token-canary-in-a-path?+X=head-canary",
    "CCM_TRACES__ENDPOINT": "http://127.0.0.1:9/v1/traces",
    "OTEL_EXPORTER_OTLP_HEADERS": "x-honey=header-canary",
}
HIDDEN = ("password-canary", "token-canary-in-a-path", "head-canary", "header-canary")
NOWHERE = "http://127.0.0.1:9"
LONG = "Take your time. [scenario:slow-tool seconds=300]"
MORE = '[backups]\ninterval_hours = 0.001\n[log]\nlevel = "debug"\n'


@pytest.fixture(params=[0o022, 0o000], ids=["usual umask", "no umask"])
def umask(request: pytest.FixtureRequest) -> Iterator[None]:
    before = os.umask(request.param)
    yield
    os.umask(before)


def test_attacks_23_41_42_43_and_52_no_process_no_log_and_no_file_tells_a_secret(umask: None) -> None:
    with world(CONFIG + MORE) as sandbox:
        daemon = sandbox.start_daemon(True, CCM_SUPABASE__URL=NOWHERE, **CANARIES, **IN_ADDRESSES)
        made = json.loads(sandbox.run("token", "create", "canary", "--scope", "admin", "--json").stdout)
        secrets = [*CANARIES.values(), *HIDDEN, made["key"]]
        secrets += [read_secret(sandbox.state / name).reveal() for name in (API_TOKEN_FILE, INTERNAL_SECRET_FILE)]
        working(sandbox, LONG)
        failing = sandbox.insert_task("Nobody has this project", project="nowhere")
        ended = f"task_id = '{failing}' AND status IN ('held', 'failed')"
        wait_for("a failed task", lambda: told(sandbox, "tasks", ended), sandbox)
        wait_for("a notice that nobody took", lambda: told(sandbox, "notices", "error IS NOT NULL"), sandbox)
        assert all(told(sandbox, table) for table in ("audit_log", "incidents", "events", "agent_views", "hook_events"))
        with sandbox.api() as api:
            assert api.get("/api/tasks", headers={"X-API-Key": "x" * 10}).status_code in (200, 401)

        assert told_by_processes(secrets, daemon.pid) == []
        assert told_by_tmux(sandbox, secrets) == []
        open_to_others = [path for path in sandbox.state.rglob("*") if others_may_open(path)]
        assert open_to_others == [] and not others_may_open(sandbox.state)
        socket = subprocess.run(
            sandbox.tmux("display-message", "-p", "#{socket_path}"), capture_output=True, text=True, check=True
        )
        assert not others_may_open(Path(socket.stdout.strip()).parent)

        sandbox.stop_daemon()
        holders = {API_TOKEN_FILE, INTERNAL_SECRET_FILE, LAST_TARGETS}  # what a start that fails tells is read there
        files = [path for path in sandbox.state.rglob("*") if path.is_file() and path.name not in holders]
        assert any(path.suffix == ".db" for path in files) and any("log" in path.name for path in files)
        assert [path for path in files if holds(path.read_bytes(), secrets)] == []
        assert not holds((sandbox.directory / "serve.log").read_bytes(), secrets)


def told(sandbox: Sandbox, table: str, where: str = "1") -> bool:
    return bool(sandbox.query(f"SELECT 1 FROM {table} WHERE {where} LIMIT 1"))


def told_by_processes(secrets: list[str], daemon: int) -> list[str]:
    """Arguments of everybody; environments of the daemon's and its agents' processes, but for the daemon itself."""
    told = []
    for process in psutil.process_iter():
        try:
            argv, environment = json.dumps(process.cmdline()), json.dumps(process.environ())
        except (psutil.AccessDenied, psutil.NoSuchProcess, psutil.ZombieProcess):
            continue
        ours = process.pid in (daemon, os.getpid())
        if holds(argv.encode(), secrets) or (not ours and holds(environment.encode(), secrets)):
            told.append(argv)
    return told


def told_by_tmux(sandbox: Sandbox, secrets: list[str]) -> list[str]:
    asked = (("show-environment", "-g"), ("show-environment",), ("show-options", "-g"), ("list-windows", "-a"))
    answers = [subprocess.run(sandbox.tmux(*words), capture_output=True, check=False).stdout for words in asked]
    assert b"PATH" in answers[0]
    return [answer.decode() for answer in answers if holds(answer, secrets)]


def holds(content: bytes, secrets: list[str]) -> bool:
    return any(secret.encode() in content for secret in secrets)


def others_may_open(path: Path) -> bool:
    """A file in a directory that is closed to others is closed to them as well."""
    mode = path.lstat().st_mode
    return not stat.S_ISLNK(mode) and not stat.S_ISSOCK(mode) and bool(stat.S_IMODE(mode) & 0o077)
