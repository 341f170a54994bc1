"""Real launchers, each on a terminal of its own, and what they leave in the run directory."""

import json
import os
import secrets
import signal
import subprocess
import termios
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil
import pytest

from ccm_orchestrator.adapters.rundir import RunDirectories
from ccm_orchestrator.ports.launching import Launch

PATIENCE_S = 30.0
ENVIRONMENT = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8"}


def eventually(condition: Callable[[], Any], what: str, patience_s: float = PATIENCE_S) -> Any:
    """The condition's first true value."""
    deadline_s = time.monotonic() + patience_s
    while not (value := condition()):
        if time.monotonic() > deadline_s:
            raise AssertionError(f"not within {patience_s} s: {what}")
        time.sleep(0.01)
    return value


def gone(pid: int) -> bool:
    """No such process, or nothing but its corpse."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


class Terminal:
    """A pseudo terminal whose screen is everything that was ever written to it."""

    def __init__(self) -> None:
        self._master, self.slave = os.openpty()
        attributes = termios.tcgetattr(self.slave)
        attributes[1] &= ~termios.OPOST
        termios.tcsetattr(self.slave, termios.TCSANOW, attributes)
        self._output = bytearray()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        while True:
            try:
                piece = os.read(self._master, 65536)
            except OSError:
                return
            if not piece:
                return
            self._output += piece

    @property
    def screen(self) -> str:
        return self._output.decode(errors="replace")

    def type(self, keys: bytes) -> None:
        os.write(self._master, keys)

    def let_go(self) -> None:
        """Only the launcher has the terminal open now."""
        if self.slave >= 0:
            os.close(self.slave)
            self.slave = -1

    def finish(self) -> None:
        """After the last process on it ended: everything that was written is read."""
        self._reader.join(PATIENCE_S)
        if self._master >= 0:
            os.close(self._master)
            self._master = -1


class StartedLauncher:
    def __init__(self, argv: Sequence[str], directory: Path, environment: Mapping[str, str]) -> None:
        self.directory = directory
        self.terminal = Terminal()
        slave = self.terminal.slave
        self.process = subprocess.Popen(
            ["setsid", "--ctty", *argv], stdin=slave, stdout=slave, stderr=slave, env=dict(environment), cwd="/"
        )
        self.terminal.let_go()

    @property
    def started(self) -> dict[str, Any]:
        """`run.json`, awaited."""
        path = self.directory / "run.json"
        eventually(path.exists, "run.json")
        record: dict[str, Any] = json.loads(path.read_text())
        return record

    @property
    def agent_pid(self) -> int:
        pid: int = self.started["agent"]["pid"]
        return pid

    def wait(self) -> int:
        code = self.process.wait(PATIENCE_S)
        self.terminal.finish()
        return code

    @property
    def exit(self) -> dict[str, Any]:
        """`exit.json`, after the launcher ended."""
        assert self.wait() == 0
        record: dict[str, Any] = json.loads((self.directory / "exit.json").read_text())
        return record

    def wait_for_file(self, name: str) -> str:
        """A file in the run directory, once it has a whole line."""
        path = self.directory / name
        eventually(lambda: path.exists() and path.read_text().endswith("\n"), name)
        return path.read_text()


class Launchers:
    """A state directory, and the launchers that a test started in it."""

    def __init__(self, state_directory: Path) -> None:
        self.state_directory = state_directory
        self.pad = self.make_pad()
        self._started: list[StartedLauncher] = []

    def make_pad(self, **options: Any) -> RunDirectories:
        return RunDirectories(self.state_directory, **{"stop_grace_s": 2.0, **options})

    async def prepare(
        self, argv: Sequence[str], pad: RunDirectories | None = None, **launch: Any
    ) -> tuple[str, Sequence[str]]:
        """A new run's id, and its launcher's argv."""
        run_id = secrets.token_hex(16)
        launch = {"env": ENVIRONMENT, "cwd": self.state_directory, **launch}
        return run_id, await (pad or self.pad).prepare(run_id, 1, Launch(argv=argv, **launch))

    def open(self, run_id: str, argv: Sequence[str], environment: Mapping[str, str] = ENVIRONMENT) -> StartedLauncher:
        launcher = StartedLauncher(argv, self.pad.directory(run_id), environment)
        self._started.append(launcher)
        return launcher

    async def start(self, *argv: str, **launch: Any) -> StartedLauncher:
        """An agent that does `argv`, in the run directory if the test names nothing else."""
        return self.open(*await self.prepare(argv, **launch))

    async def run_script(self, script: str, **launch: Any) -> StartedLauncher:
        """An agent that is a shell script; `$RUN` is its run directory."""
        run_id = secrets.token_hex(16)
        directory = self.pad.directory(run_id)
        launch = {"cwd": self.state_directory, **launch, "env": {**ENVIRONMENT, "RUN": str(directory)}}
        return self.open(run_id, await self.pad.prepare(run_id, 1, Launch(argv=("sh", "-c", script), **launch)))

    async def clean_up(self) -> None:
        for launcher in self._started:
            await self.pad.kill(launcher.directory.name)
            if launcher.process.poll() is None:
                launcher.process.send_signal(signal.SIGKILL)
                launcher.process.wait(PATIENCE_S)


@pytest.fixture
async def launchers(tmp_path: Path) -> Any:
    made = Launchers(tmp_path)
    yield made
    await made.clean_up()


@pytest.fixture
def bystander() -> Iterator[subprocess.Popen[bytes]]:
    """A process that belongs to no run, in a session of its own."""
    with subprocess.Popen(["sleep", "1000"], start_new_session=True) as process:
        yield process
        process.kill()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MB."""
    directory = tmp_path / "small"
    directory.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(directory)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("mounting a small disk needs root")
    yield directory
    subprocess.run(["umount", "--lazy", str(directory)], check=True)


def fill(directory: Path) -> Path:
    """Takes all the space there is; removing the file gives it back."""
    path = directory / "filler"
    with path.open("wb", buffering=0) as file:
        try:
            while file.write(b"\0" * 4096):
                pass
        except OSError:
            return path
    raise AssertionError("unreachable")
