"""From the decision to start an agent until its process runs: what our windows and launcher add to tmux itself."""

import asyncio
import os
import secrets
import shutil
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from benchmarks.harness import Goal, Report, Sampler, Unit, take_turns
from ccm_orchestrator.adapters.rundir import RunDirectories
from ccm_orchestrator.adapters.tmux.terminal import TmuxTerminal
from ccm_orchestrator.ports.launching import Launch

ROUNDS = 40
LIMIT_S = 30.0
SOCKET = "ccm"
ENVIRONMENT = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "TERM": "xterm-256color"}

Starter = Callable[[Sequence[str]], Awaitable[object]]
"""Starts a command somehow, and returns when that was asked for."""


class Place:
    """A tmux server of its own, a state directory, and a pipe into which each started process says that it runs."""

    def __init__(self) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="ccm-bench-"))
        self.terminal = TmuxTerminal(self.directory / "tmux.conf", SOCKET, self.directory)
        self.pad = RunDirectories(self.directory / "state")
        self._pipe = self.directory / "running"
        os.mkfifo(self._pipe)
        self._reader = os.open(self._pipe, os.O_RDWR | os.O_NONBLOCK)

    def sampler(self, start: Starter) -> Sampler:
        """Seconds from the call until the command's first act."""
        command = ("/bin/sh", "-c", f"echo >{self._pipe}")

        async def sample() -> float:
            started = time.perf_counter()
            arrived = asyncio.ensure_future(self._arrival())
            await start(command)
            return await asyncio.wait_for(arrived, LIMIT_S) - started

        return sample

    async def _arrival(self) -> float:
        loop = asyncio.get_running_loop()
        arrived: asyncio.Future[float] = loop.create_future()

        def note() -> None:
            loop.remove_reader(self._reader)
            os.read(self._reader, 100)
            arrived.set_result(time.perf_counter())

        loop.add_reader(self._reader, note)
        return await arrived

    async def bare_process(self, command: Sequence[str]) -> None:
        process = await asyncio.create_subprocess_exec(*command, env=ENVIRONMENT)
        await process.wait()

    async def bare_window(self, command: Sequence[str]) -> None:
        client = ("tmux", "-L", SOCKET, "new-window", "-d", "-t", "=ccm:", "--")
        process = await asyncio.create_subprocess_exec(*client, *command, env=self.tmux_environment())
        assert await process.wait() == 0

    async def our_window(self, command: Sequence[str]) -> None:
        await self.terminal.open_window(secrets.token_hex(16), command)

    async def our_launcher(self, command: Sequence[str]) -> None:
        """Run directory, ticket, window, kernel lock, `run.json`, process group: all that happens after the claim."""
        run_id = secrets.token_hex(16)
        launch = Launch(argv=command, env=ENVIRONMENT, cwd=self.directory, files={"prompt.txt": b"Fix it.\n" * 100})
        await self.terminal.open_window(run_id, await self.pad.prepare(run_id, 1, launch))

    def tmux_environment(self) -> dict[str, str]:
        return {**ENVIRONMENT, "TMUX_TMPDIR": str(self.directory)}

    async def close(self) -> None:
        await self.terminal.stop()
        killer = await asyncio.create_subprocess_exec(
            "tmux", "-L", SOCKET, "kill-server", env=self.tmux_environment(), stderr=asyncio.subprocess.DEVNULL
        )
        await killer.wait()
        os.close(self._reader)
        shutil.rmtree(self.directory, ignore_errors=True)


async def measure(rounds: int | None) -> Sequence[Report]:
    place = Place()
    try:
        await place.terminal.start()
        contenders = {
            "tmux new-window": place.sampler(place.bare_window),
            "fork and exec": place.sampler(place.bare_process),
            "our window": place.sampler(place.our_window),
            "our window and launcher": place.sampler(place.our_launcher),
        }
        samples = await take_turns(contenders, rounds or ROUNDS)
    finally:
        await place.close()
    report = Report("spawn", "how long until the agent's process runs?", Unit.MILLISECONDS, samples)
    ours = "our window and launcher"
    goals = [
        Goal("median, times a bare new-window", report.ratio(ours), 3),
        Goal("p95, times a bare new-window", report.p95_ratio(ours), 6),
    ]
    notes = ["the goals are for the whole way from the task's row; the claim is not in here"]
    return [Report(report.name, report.question, report.unit, samples, goals, notes)]
