"""A throw-away world: own HOME, state directory, tmux server and port, a sample project, and a real daemon in it.

The demo lives in one, and so do the acceptance tests. Nothing of the user's own is read or written.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import time
from pathlib import Path

import httpx

from ccm_orchestrator.programs import Program, argv_of

READY_LIMIT_S = 30.0
STOP_LIMIT_S = 15.0
POLL_S = 0.05
DUMMY_KEY = "sk-ant-scripted-model-0000000000"

_PROJECT_FILES = {
    "README.md": "# Sample\n\nA project for agents to work in.\n",
    "calc.py": "def add(a, b):\n    return a - b\n",
    "test_calc.py": "from calc import add\n\n\ndef test_add():\n    assert add(1, 2) == 3\n",
}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Sandbox:
    """Use as a context manager: on leaving, the daemon, the tmux server and every process in it are ended."""

    def __init__(
        self,
        directory: Path,
        claude: Path,
        model_url: str,
        config: str = "",
        head: str = "",
        system_id: str = "demo",
    ) -> None:
        """`config` is added to the configuration file as it stands (TOML tables), `head` before all tables."""
        self.system_id = system_id
        self.directory = directory
        self.home = directory / "home"
        self.state = directory / "state"
        self.project = directory / "sample"
        self.port = free_port()
        self.daemon: subprocess.Popen[bytes] | None = None
        self.overrides: dict[str, str | None] = {}
        """What differs in `env`; None takes a variable out."""
        self._claude = claude
        self._model_url = model_url
        self._config = config
        self._head = head

    def __enter__(self) -> Sandbox:
        for path in (self.home, self.state, self.directory / "tmux", self.directory / "tmp"):
            path.mkdir(mode=0o700, parents=True)
        self._write_project()
        self._write_config()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill_daemon()
        subprocess.run(self.tmux("kill-server"), env=self.env, capture_output=True, check=False, timeout=STOP_LIMIT_S)
        self._end_agents()

    @property
    def env(self) -> dict[str, str]:
        """The whole environment of the daemon and of commands run beside it."""
        env: dict[str, str | None] = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.home),
            "LANG": "C.UTF-8",
            "TERM": "xterm-256color",
            "ANTHROPIC_BASE_URL": self._model_url,
            "ANTHROPIC_API_KEY": DUMMY_KEY,
            "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
            "TMPDIR": str(self.directory / "tmp"),
            "CLAUDE_CODE_TMPDIR": str(self.directory / "tmp"),
            "DISABLE_AUTOUPDATER": "1",
            "DISABLE_INSTALLATION_CHECKS": "1",
            "GIT_CONFIG_NOSYSTEM": "1",
            **self.overrides,
        }
        return {name: value for name, value in env.items() if value is not None}

    def tmux(self, *arguments: str) -> list[str]:
        """A tmux command line for the sandbox's own server."""
        return ["env", f"TMUX_TMPDIR={self.directory / 'tmux'}", "tmux", "-L", "ccm", *arguments]

    def cli(self, *arguments: str) -> list[str]:
        return argv_of(Program.COMMAND_LINE, *arguments)

    def run(self, *arguments: str, check: bool = True, limit_s: float = 60) -> subprocess.CompletedProcess[str]:
        """`ccm-orchestrator ARGUMENTS` to its end. Raises: RuntimeError with its words when `check` and it failed."""
        cwd = self.project if self.project.is_dir() else self.directory
        done = subprocess.run(
            self.cli(*arguments),
            env=self.env,
            cwd=cwd,
            capture_output=True,
            text=True,
            check=False,
            timeout=limit_s,
        )
        if check and done.returncode:
            raise RuntimeError(f"{' '.join(arguments)} failed ({done.returncode}): {done.stderr}{done.stdout}")
        return done

    # --- the daemon ---

    def start_daemon(self, wait: bool = True, **env: str) -> subprocess.Popen[bytes]:
        """Starts `serve`; returns when it is ready. Raises: RuntimeError with its log when it never is."""
        log = (self.directory / "serve.log").open("ab")
        self.daemon = subprocess.Popen(
            self.cli("serve"),
            env={**self.env, **env},
            cwd=self.directory,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        log.close()
        if wait:
            self.wait_ready()
        return self.daemon

    def wait_ready(self) -> None:
        deadline = time.monotonic() + READY_LIMIT_S
        while time.monotonic() < deadline:
            if self.daemon is not None and self.daemon.poll() is not None:
                break
            with contextlib.suppress(httpx.HTTPError):
                if httpx.get(f"http://127.0.0.1:{self.port}/health", timeout=2).status_code == 200:
                    return
            time.sleep(POLL_S)
        raise RuntimeError(f"the daemon did not become ready:\n{self.log_tail()}")

    def stop_daemon(self) -> int:
        """SIGTERM, and its exit code. Agents live on."""
        if self.daemon is None:
            return 0
        self.daemon.terminate()
        code = self.daemon.wait(STOP_LIMIT_S)
        self.daemon = None
        return code

    def kill_daemon(self) -> None:
        """SIGKILL, as at 3 a.m. Agents live on."""
        if self.daemon is not None:
            with contextlib.suppress(ProcessLookupError):
                self.daemon.send_signal(signal.SIGCONT)
                self.daemon.kill()
            self.daemon.wait(STOP_LIMIT_S)
            self.daemon = None

    def log_tail(self, lines: int = 40) -> str:
        path = self.directory / "serve.log"
        return "\n".join(path.read_text(errors="replace").splitlines()[-lines:]) if path.exists() else ""

    # --- tasks and what became of them ---

    def insert_task(self, prompt: object, **columns: object) -> str:
        """A row by plain SQL, as anybody may insert one; returns its id."""
        values = {"project": "sample", "prompt": prompt, **columns}
        names = ", ".join(values)
        marks = ", ".join("?" * len(values))
        rows = self.execute(f"INSERT INTO tasks({names}) VALUES ({marks}) RETURNING task_id", *values.values())
        return str(rows[0][0])

    def execute(self, statement: str, *values: object) -> list[tuple[object, ...]]:
        """Plain SQL that may write, committed, as anybody's `sqlite3` would."""
        with contextlib.closing(sqlite3.connect(self.state / "ccm.db", timeout=10)) as database, database:
            return database.execute(statement, values).fetchall()

    def query(self, statement: str, *values: object) -> list[tuple[object, ...]]:
        """Rows of the daemon's database, read-only."""
        uri = f"file:{self.state / 'ccm.db'}?mode=ro"
        with contextlib.closing(sqlite3.connect(uri, uri=True, timeout=10)) as database:
            return database.execute(statement, values).fetchall()

    def api(self) -> httpx.Client:
        token = (self.state / "api-token").read_text().strip()
        return httpx.Client(
            base_url=f"http://127.0.0.1:{self.port}", headers={"Authorization": f"Bearer {token}"}, timeout=20
        )

    # --- the parts ---

    def _write_config(self) -> None:
        path = self.home / ".config" / "ccm-orchestrator" / "config.toml"
        path.parent.mkdir(parents=True)
        path.write_text(
            f'state_directory = "{self.state}"\nsystem_id = "{self.system_id}"\n{self._head}\n'
            f"[api]\nport = {self.port}\n\n"
            f'[tmux]\nsocket_directory = "{self.directory / "tmux"}"\n\n'
            f'[claude]\nexecutable = "{self._claude}"\n'
            'environment = ["CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "CLAUDE_CODE_TMPDIR", '
            '"DISABLE_INSTALLATION_CHECKS"]\n\n'
            f"{self._config}"
        )

    def _write_project(self) -> None:
        self.project.mkdir()
        for name, text in _PROJECT_FILES.items():
            (self.project / name).write_text(text)
        self._git("init", "-q", "-b", "main")
        self._git("add", ".")
        self._git("commit", "-qm", "Start the sample")

    def _git(self, *arguments: str) -> None:
        identity = ["-c", "user.name=demo", "-c", "user.email=demo@localhost"]
        subprocess.run(["git", *identity, *arguments], cwd=self.project, env=self.env, check=True, timeout=30)

    def _end_agents(self) -> None:
        """Whatever still runs below this sandbox, found by its environment, is ended."""
        mark = f"HOME={self.home}".encode()
        deadline = time.monotonic() + STOP_LIMIT_S
        while time.monotonic() < deadline:
            left = [pid for pid in _pids() if mark in _environment(pid).split(b"\0")]
            if not left:
                return
            for pid in left:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(POLL_S)


def _pids() -> list[int]:
    proc = Path("/proc")
    return [int(path.name) for path in proc.iterdir() if path.name.isdigit()] if proc.is_dir() else []


def _environment(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return b""


def find_claude(name: str = "claude") -> Path | None:
    """The executable on PATH; None when there is none."""
    found = shutil.which(name)
    return Path(found) if found else None
