"""Real tmux servers for tests, each on a socket of its own, and waiting for what must come."""

import asyncio
import os
import shlex
import shutil
import subprocess
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from ccm_orchestrator.adapters.tmux.terminal import TmuxTerminal
from ccm_orchestrator.domain.run import WindowRef
from ccm_orchestrator.ports.terminal import Terminal

PATIENCE_S = 30.0
SOCKET = "ccm"


async def until(condition: Callable[[], Awaitable[bool]], what: str, patience_s: float = PATIENCE_S) -> None:
    deadline = time.monotonic() + patience_s
    while not await condition():
        assert time.monotonic() < deadline, f"waited {patience_s:g} s in vain: {what}"
        await asyncio.sleep(0.02)


async def shown(terminal: Terminal, window: WindowRef, text: str) -> None:
    """Waits until the window's screen contains the text."""

    async def contains() -> bool:
        return text in await terminal.capture(window)

    await until(contains, f"{text!r} on the screen of {window.window_id}")


async def ended(*processes: psutil.Process) -> None:
    """Waits until none of them runs; whether somebody has reaped them is not our affair."""

    async def all_have() -> bool:
        return not any(map(_runs, processes))

    await until(all_have, f"the end of {processes}")


def _runs(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def new_run_id() -> str:
    return uuid.uuid4().hex


class Tmux:
    """A place for a tmux server, the terminals under test on it, and a look past them at what tmux itself says."""

    def __init__(self) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="ccm-tmux-"))  # a socket's path must be short
        self.terminals: list[TmuxTerminal] = []

    def terminal(self, timeout_s: float = 10.0, control_mode: bool = True, session: str = "ccm") -> TmuxTerminal:
        terminal = TmuxTerminal(
            self.directory / "tmux.conf", SOCKET, self.directory, session, timeout_s, control_mode=control_mode
        )
        self.terminals.append(terminal)
        return terminal

    def environment(self) -> dict[str, str]:
        outer = {name: value for name, value in os.environ.items() if name not in ("TMUX", "TMUX_PANE")}
        return outer | {"TMUX_TMPDIR": str(self.directory), "TERM": "xterm-256color"}

    def ask(self, *arguments: str) -> str:
        """What a tmux command prints; arguments as in a shell, `;` included."""
        done = subprocess.run(
            ["tmux", "-u", "-N", "-L", SOCKET, *arguments],
            env=self.environment(),
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
        assert done.returncode == 0, f"tmux {shlex.join(arguments)}: {done.stderr}"
        return done.stdout.rstrip("\n")

    def server(self) -> psutil.Process:
        return psutil.Process(int(self.ask("display-message", "-p", "#{pid}")))

    async def close(self) -> None:
        for terminal in self.terminals:
            await terminal.stop()
        with suppress(AssertionError):
            pids = [int(pid) for pid in self.ask("list-panes", "-a", "-F", "#{pane_pid}\n#{pid}").split()]
            processes = [psutil.Process(pid) for pid in set(pids) if psutil.pid_exists(pid)]
            self.ask("kill-server")
            await ended(*processes)
        shutil.rmtree(self.directory)


@pytest.fixture
async def tmux() -> AsyncIterator[Tmux]:
    place = Tmux()
    yield place
    await place.close()


@pytest.fixture
async def terminal(tmux: Tmux) -> TmuxTerminal:
    terminal = tmux.terminal()
    await terminal.start()
    return terminal
