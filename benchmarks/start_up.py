"""From exec until the daemon says READY=1, with the embedded store; and until the command line has said something."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path

from benchmarks.harness import Goal, Report, Sampler, Unit, seconds, take_turns
from ccm_orchestrator.demo.sandbox import free_port

ROUNDS = 8
LIMIT_S = 60.0
READY_S = 1.0


async def measure(rounds: int | None) -> Sequence[Report]:
    with tempfile.TemporaryDirectory(prefix="ccm-") as name:
        env = environment(Path(name))
        try:
            starts = await take_turns(
                {
                    "python imports FastAPI and uvicorn": run(env, "-c", "import fastapi, uvicorn"),
                    "daemon ready": lambda: ready(env, Path(name)),
                },
                rounds or ROUNDS,
            )
            async with serving(env, Path(name)):
                commands = await take_turns(
                    {
                        "python does nothing": run(env, "-c", "pass"),
                        "--version": run(env, "-m", "ccm_orchestrator", "--version"),
                        "task list": run(env, "-m", "ccm_orchestrator", "task", "list"),
                    },
                    rounds or ROUNDS,
                )
        finally:
            await (
                await asyncio.create_subprocess_exec("tmux", "-L", env["CCM_TMUX__SOCKET_NAME"], "kill-server", env=env)
            ).wait()
        words = await take_turns(
            {
                "python imports typer and rich": run(env, "-c", "import typer, rich.console, rich.table"),
                "--help": run(env, "-m", "ccm_orchestrator", "--help"),
            },
            rounds or ROUNDS,
        )
    goal = Goal("s from exec until READY=1", starts["daemon ready"].median, READY_S)
    return [
        Report("start_up", "how long until the daemon is ready?", Unit.MILLISECONDS, starts, [goal]),
        Report("start_up_commands", "how long does a command take?", Unit.MILLISECONDS, commands),
        Report("start_up_cli", "how long until the command line answers?", Unit.MILLISECONDS, words),
    ]


def environment(directory: Path) -> dict[str, str]:
    port = free_port()
    return {
        "PATH": "/usr/bin:/bin",
        "HOME": str(directory),
        "LANG": "C.UTF-8",
        "TMUX_TMPDIR": str(directory),
        "CCM_STATE_DIRECTORY": str(directory / "state"),
        "CCM_API__PORT": str(port),
        "CCM_TMUX__SOCKET_NAME": f"bench-{port}",
        "CCM_SYSTEM_ID": "bench",
    }


def run(env: dict[str, str], *argv: str) -> Sampler:
    async def act() -> None:
        process = await asyncio.create_subprocess_exec(sys.executable, *argv, env=env, stdout=subprocess.DEVNULL)
        assert await process.wait() == 0, argv

    return lambda: seconds(act)


async def ready(env: dict[str, str], directory: Path) -> float:
    async with serving(env, directory) as ready_s:
        return ready_s


@contextlib.asynccontextmanager
async def serving(env: dict[str, str], directory: Path) -> AsyncIterator[float]:
    """A daemon, and how long it took until it was ready."""
    with notified(directory / f"notify-{time.monotonic_ns()}") as (listener, address):
        began = time.perf_counter()
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "ccm_orchestrator", "serve"),
            env=env | {"NOTIFY_SOCKET": address},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            async with asyncio.timeout(LIMIT_S):
                while b"READY=1" not in await asyncio.get_running_loop().sock_recv(listener, 4096):
                    pass
            yield time.perf_counter() - began
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
            await process.wait()


@contextlib.contextmanager
def notified(path: Path) -> Iterator[tuple[socket.socket, str]]:
    """As systemd listens to its services."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(os.fspath(path))
        listener.setblocking(False)
        yield listener, os.fspath(path)
