"""`update` with real packages, a real daemon and an agent at work: to a newer version, and back from a broken one."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx
import psutil
import pytest

from ccm_orchestrator import __version__
from ccm_orchestrator.client.address import of_this_machine
from ccm_orchestrator.demo.sandbox import free_port
from ccm_orchestrator.errors import DaemonUnreachable
from ccm_orchestrator.setup.daemon_checks import holder
from tests.launching import eventually
from tests.wheels import build_wheel, make_environment, offline

pytestmark = [pytest.mark.tmux, pytest.mark.slow, pytest.mark.timeout(300)]
NAME = "ccm-orchestrator"
NEWER, BROKEN = "99.1.0", "99.2.0"
FAULTS = {
    "ccm_orchestrator/sql/sqlite/9999_later.sql": ("", "CREATE TABLE later (word TEXT) STRICT;\n"),
    "ccm_orchestrator/api/server.py": (
        "    async def start(self) -> None:\n",
        "    async def start(self) -> None:\n        raise RuntimeError\n",
    ),
}
PROFILE = """
[profiles.waiter]
driver = "generic"
command = ["sh", "-c", "echo $$ >pid; while [ ! -e go ]; do sleep 0.1; done; echo {marker_done}"]
"""
"""Its agent works until there is a file `go`."""


class Desk:
    """Somebody's home, with the command installed by pip into an environment of its own."""

    def __init__(self, home: Path, packages: Path) -> None:
        self.home, self.project = home, home / "project"
        self.state = home / "state"
        self.project.mkdir(parents=True)
        self.environment = make_environment(home / "venv")
        self.config = home / "config.toml"
        self.config.write_text(PROFILE)
        self._port = free_port()
        self._packages = packages
        self.call([str(self.environment / "bin" / "python"), "-m", "pip", "install", "-q", "-I", "--no-deps", NAME])

    @property
    def env(self) -> dict[str, str]:
        return {
            "PATH": "/usr/bin:/bin",
            "HOME": str(self.home),
            "LANG": "C.UTF-8",
            "TMUX_TMPDIR": str(self.home),
            "CCM_STATE_DIRECTORY": str(self.state),
            "CCM_API__PORT": str(self._port),
            "CCM_TMUX__SOCKET_NAME": f"update-{self._port}",
            "CCM_CONFIG": str(self.config),
            **offline(self._packages),
        }

    def call(self, argv: list[str], code: int = 0) -> str:
        done = subprocess.run(
            argv, env=self.env, cwd=self.project, capture_output=True, text=True, timeout=200, check=False
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr

    def ccm(self, *words: str, code: int = 0) -> str:
        return self.call([str(self.environment / "bin" / NAME), *words], code)

    def serve(self) -> subprocess.Popen[bytes]:
        argv, quiet = [str(self.environment / "bin" / NAME), "serve"], subprocess.DEVNULL
        return subprocess.Popen(argv, env=self.env, cwd=self.project, stdin=quiet, stdout=quiet, stderr=quiet)

    def daemon(self) -> int | None:
        held = holder(self.state)
        return None if held is None else held.pid

    def version(self) -> str:
        """Of the daemon; empty: none is ready."""
        try:
            url, token = of_this_machine(self.state)
            answer = httpx.get(f"{url}/api/status", headers={"Authorization": f"Bearer {token}"}, trust_env=False)
        except (httpx.HTTPError, DaemonUnreachable):
            return ""
        return str(answer.json()["version"]) if answer.status_code == 200 else ""

    def column(self, statement: str) -> list[object]:
        with closing(sqlite3.connect(self.state / "ccm.db")) as connection:
            return [row[0] for row in connection.execute(statement)]

    def tidy(self) -> None:
        pid = self.daemon()
        if pid is not None:
            os.kill(pid, signal.SIGTERM)
            eventually(lambda: self.daemon() is None, "the end of the daemon")
        subprocess.run(
            ["tmux", "-L", f"update-{self._port}", "kill-server"], env=self.env, capture_output=True, check=False
        )


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    packages = tmp_path / "packages"
    packages.mkdir()
    build_wheel(packages)
    desk = Desk(tmp_path / "home", packages)
    try:
        yield desk
    finally:
        desk.tidy()


def test_an_agent_outlives_an_update_and_one_that_is_taken_back(desk: Desk, tmp_path: Path) -> None:
    serving = desk.serve()
    eventually(desk.version, "a daemon")
    desk.ccm("project", "add", ".", "--name", "shop")
    desk.ccm("task", "add", "Wait for go", "--profile", "waiter")
    eventually(lambda: (desk.project / "pid").exists(), "an agent")
    agent = psutil.Process(int((desk.project / "pid").read_text()))

    build_wheel(tmp_path / "packages", NEWER)
    told = desk.ccm("update", "--dry-run")
    assert f"{NEWER} is there" in told and "Run `" in told and (desk.version(), serving.poll()) == (__version__, None)
    said = desk.ccm("update")
    assert "and is ready. Agents went on." in said and f"{__version__} → {NEWER}" in said
    assert serving.wait(5) == 0 and desk.version() == NEWER and agent.is_running()

    build_wheel(tmp_path / "packages", BROKEN, FAULTS)
    before = desk.daemon()
    said = desk.ccm("update", code=1)
    assert f"{NEWER} is in place again; {BROKEN} did not get ready" in said and "Restored the database from" in said
    assert desk.version() == NEWER and desk.daemon() not in (None, before) and agent.is_running()
    assert "9999_later" not in desk.column("SELECT name FROM schema_migrations")
    assert len(list(desk.state.glob("ccm.db.newer-*Z"))) == 1 and not list((desk.state / "update").iterdir())

    (desk.project / "go").touch()
    eventually(lambda: desk.column("SELECT status FROM tasks") == ["succeeded"], "the outcome")
    assert desk.column("SELECT count(*) FROM runs") == [1]
