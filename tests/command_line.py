"""The installed command, called as a person would, with a home and a state directory of its own."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import chdir, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from ccm_orchestrator.cli.app import app
from ccm_orchestrator.demo.sandbox import free_port

CALL_LIMIT_S = 60.0
READY_LIMIT_S = 60.0
LOOK_INTERVAL_S = 0.05


@dataclass(frozen=True)
class Said:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@dataclass(frozen=True)
class CommandLine:
    home: Path
    port: int
    more_env: Mapping[str, str] = field(default_factory=dict)

    @property
    def state(self) -> Path:
        return self.home / "state"

    @property
    def project(self) -> Path:
        return self.home / "project"

    @property
    def env(self) -> dict[str, str]:
        """No Claude Code is found with it, so nothing is ever started."""
        return {
            "PATH": "/usr/bin:/bin",
            "HOME": str(self.home),
            "LANG": "C.UTF-8",
            "TMUX_TMPDIR": str(self.home),
            "CCM_STATE_DIRECTORY": str(self.state),
            "CCM_API__PORT": str(self.port),
            "CCM_TMUX__SOCKET_NAME": f"cli-{self.port}",
            "CCM_CLAUDE__EXECUTABLE": str(self.home / "no-claude"),
            **self.more_env,
        }

    def __call__(self, *words: str, stdin: str | bytes = b"", cwd: Path | None = None) -> Said:
        done = subprocess.run(
            [sys.executable, "-m", "ccm_orchestrator", *words],
            input=stdin.encode() if isinstance(stdin, str) else stdin,
            capture_output=True,
            env=self.env,
            cwd=cwd or self.project,
            timeout=CALL_LIMIT_S,
            check=False,
        )
        said = Said(done.returncode, done.stdout.decode(), done.stderr.decode())
        assert "Traceback" not in said.err, said.err
        return said

    @contextmanager
    def running(self, *words: str) -> Iterator[subprocess.Popen[bytes]]:
        """A command that goes on until it is ended; its output is in `output`."""
        with self.output.open("ab") as output:
            process = subprocess.Popen(
                [sys.executable, "-u", "-m", "ccm_orchestrator", *words],
                stdout=output,
                stderr=output,
                env=self.env,
                cwd=self.project,
            )
        try:
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(CALL_LIMIT_S)

    @contextmanager
    def daemon(self, *flags: str) -> Iterator[subprocess.Popen[bytes]]:
        with self.running("serve", *flags) as process:
            self.wait_until(lambda: self("status", "-q").code == 0)
            yield process

    @property
    def output(self) -> Path:
        return self.home / "output"

    def wait_until(self, condition: Any, limit_s: float = READY_LIMIT_S) -> None:
        deadline = time.monotonic() + limit_s
        while not condition():
            assert time.monotonic() < deadline, self.output.read_text()
            time.sleep(LOOK_INTERVAL_S)

    def end_tmux(self) -> None:
        argv = ["tmux", "-L", f"cli-{self.port}", "kill-server"]
        subprocess.run(argv, env=self.env, capture_output=True, check=False, timeout=CALL_LIMIT_S)


@dataclass(frozen=True)
class CalledHere(CommandLine):
    """The same commands, called in this process: faster."""

    def __call__(self, *words: str, stdin: str | bytes = b"", cwd: Path | None = None) -> Said:
        with chdir(cwd or self.project):
            result = CliRunner().invoke(app, list(words), input=stdin, env=self._only_env())
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return Said(result.exit_code, result.stdout, result.stderr)

    def _only_env(self) -> dict[str, str | None]:
        return {name: None for name in os.environ if name.startswith(("CCM_", "XDG_", "ANTHROPIC_"))} | dict(self.env)


@contextmanager
def command_line(
    home: Path, kind: type[CommandLine] = CommandLine, more_env: Mapping[str, str] | None = None
) -> Iterator[CommandLine]:
    """With a project directory that is not registered yet."""
    ccm = kind(home, free_port(), more_env or {})
    ccm.project.mkdir()
    try:
        yield ccm
    finally:
        ccm.end_tmux()
