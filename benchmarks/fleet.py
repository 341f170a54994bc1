"""A throw-away daemon whose agents are stubs: each says through a pipe that it runs, and ends when it is let go.

The stub of Claude Code only says that it runs, and stays.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import sqlite3
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from pathlib import Path

import httpx
import psutil

from ccm_orchestrator.demo.sandbox import Sandbox

LIMIT_S = 120.0
LOOK_S = 0.02
RUNNING = "status IN ('running', 'waiting')"
PROFILES = """
[profiles.waits]
driver = "generic"
command = ["/bin/sh", "-c", "{waits}"]

[profiles.works]
driver = "generic"
command = ["/bin/sh", "-c", "echo run $CCM_RUN_ID >{running}; while :; do echo another line of output; sleep 1; done"]

[profiles.prints]
driver = "generic"
mode = "print"
command = ["/bin/sh", "-c", "{waits}; echo '{{marker_done}}'; exec sleep 60"]
"""
CLAUDE = """\
#!/bin/sh
[ "$1" = --version ] && echo "2.1.329 (Claude Code)" && exit 0
echo run $CCM_RUN_ID >{running}
exec sleep 3600
"""


class Fleet:
    """Get one from `fleet`."""

    def __init__(
        self, directory: Path, max_agents: int, config: str = "", environment: Mapping[str, str] | None = None
    ) -> None:
        self._running, self._release = directory / "running", directory / "release"
        for pipe in (self._running, self._release):
            os.mkfifo(pipe)
        self._reader = os.open(self._running, os.O_RDWR | os.O_NONBLOCK)
        self.waits = f"echo run $CCM_RUN_ID >{self._running}; read _ <{self._release} || true"
        claude = directory / "claude"
        claude.write_text(CLAUDE.format(running=self._running))
        claude.chmod(0o700)
        profiles = PROFILES.format(running=self._running, waits=self.waits)
        head = f"max_agents = {max_agents}\nqueue_limit = 1000\n"
        self.sandbox = Sandbox(directory / "world", claude, "http://127.0.0.1:9", profiles + config, head)
        self.sandbox.overrides.update(environment or {})

    @contextlib.contextmanager
    def living(self) -> Iterator[None]:
        try:
            with self.sandbox:
                self.sandbox.run("project", "add", str(self.sandbox.project), "--name", "sample")
                self.sandbox.start_daemon()
                self._database = sqlite3.connect(self.sandbox.state / "ccm.db", timeout=10, isolation_level=None)
                with contextlib.closing(self._database):
                    yield
        finally:
            os.close(self._reader)

    # --- agents ---

    def insert(self, profile: str, count: int = 1) -> None:
        """Rows by plain SQL, in one transaction."""
        self._database.execute("BEGIN IMMEDIATE")
        statement = "INSERT INTO tasks (project, prompt, profile) VALUES ('sample', 'Wait.', ?)"
        self._database.executemany(statement, [(profile,)] * count)
        self._database.execute("COMMIT")

    async def started(self, count: int = 1) -> float:
        """`time.perf_counter()` when that many stubs, bare ones included, have said that they run.

        Raises: AssertionError when one said so that nobody waited for: the figures would be of other agents.
        """
        stray = self._said()
        assert not stray, f"nobody waited for {stray}"
        loop = asyncio.get_running_loop()
        done: asyncio.Future[float] = loop.create_future()
        said: list[str] = []

        def note() -> None:
            said.extend(self._said())
            if len(said) >= count and not done.done():
                done.set_result(time.perf_counter())

        loop.add_reader(self._reader, note)
        try:
            at = await asyncio.wait_for(done, LIMIT_S)
        finally:
            loop.remove_reader(self._reader)
        assert len(said) == count, f"{count} agents were to start, but these did: {said}"
        return at

    def _said(self) -> list[str]:
        """A line for each stub that started since the last look; it names the run, if the stub is an agent."""
        try:
            return os.read(self._reader, 65536).decode().splitlines()
        except BlockingIOError:
            return []

    async def add(self, profile: str, count: int = 1) -> None:
        """Returns when their tasks are marked as such."""
        before = self.count(RUNNING)
        started = asyncio.ensure_future(self.started(count))
        await asyncio.sleep(0)
        self.insert(profile, count)
        await started
        await self.until(lambda: self.count(RUNNING) >= before + count)

    def let_go(self) -> bool:
        """Ends the stubs that wait now; False: none does, or not yet."""
        try:
            os.close(os.open(self._release, os.O_WRONLY | os.O_NONBLOCK))
        except OSError:
            return False
        return True

    async def end(self) -> None:
        """Lets stubs go until no task is open."""

        def over() -> bool:
            self.let_go()
            return not self.count("status NOT IN ('succeeded', 'failed', 'cancelled')")

        await self.until(over)

    async def until(self, condition: Callable[[], object]) -> None:
        """Raises: TimeoutError with the daemon's log."""
        deadline = time.monotonic() + LIMIT_S
        while not condition():
            if time.monotonic() > deadline:
                raise TimeoutError(f"a benchmark waited in vain:\n{self.sandbox.log_tail()}")
            await asyncio.sleep(LOOK_S)

    def count(self, condition: str) -> int:
        """Of tasks."""
        row: tuple[int] = self._database.execute(f"SELECT count(*) FROM tasks WHERE {condition}").fetchone()
        return row[0]

    def age(self) -> None:
        """Makes all runs look old, while the daemon is down: of young ones a daemon takes its repeated death amiss."""
        self._database.execute("UPDATE runs SET run = json_set(run, '$.created_at', '2020-01-01T00:00:00+00:00')")

    def last_run(self) -> str:
        """Of the newest task."""
        statement = "SELECT run_id FROM tasks ORDER BY seq DESC LIMIT 1"
        row: tuple[str] = self._database.execute(statement).fetchone()
        return row[0]

    # --- processes ---

    @property
    def tmux_environment(self) -> dict[str, str]:
        return {**self.sandbox.env, "TMUX_TMPDIR": str(self.sandbox.directory / "tmux")}

    async def tmux(self, *arguments: str) -> str:
        """What tmux answers, asked as anybody would."""
        process = await asyncio.create_subprocess_exec(
            "tmux", "-L", "ccm", *arguments, env=self.tmux_environment, stdout=asyncio.subprocess.PIPE
        )
        answer, _ = await process.communicate()
        assert process.returncode == 0
        return answer.decode().strip()

    async def bare_window(self) -> None:
        await self.tmux("new-window", "-d", "-t", "=ccm:", "--", "/bin/sh", "-c", self.waits)

    async def server(self) -> psutil.Process:
        """The tmux server."""
        return psutil.Process(int(await self.tmux("display-message", "-p", "#{pid}")))

    @property
    def daemon(self) -> psutil.Process:
        process = self.sandbox.daemon
        assert process is not None
        return psutil.Process(process.pid)

    @contextlib.asynccontextmanager
    async def api(self) -> AsyncIterator[httpx.AsyncClient]:
        with self.sandbox.api() as client:
            url, headers = client.base_url, client.headers
        async with httpx.AsyncClient(base_url=url, headers=headers, timeout=LIMIT_S) as session:
            yield session


@contextlib.asynccontextmanager
async def fleet(
    max_agents: int, config: str = "", environment: Mapping[str, str] | None = None
) -> AsyncIterator[Fleet]:
    """With a running daemon, whose configuration has `config`, too; everything is ended on the way out."""
    directory = Path(tempfile.mkdtemp(prefix="ccm-bench-"))
    try:
        one = Fleet(directory, max_agents, config, environment)
        with one.living():
            yield one
    finally:
        shutil.rmtree(directory, ignore_errors=True)


class Events:
    """Published events as a client of the API gets them. Get one from `events`."""

    def __init__(self, lines: AsyncIterator[str]) -> None:
        self._lines = lines

    async def state(self, run_id: str, state: str) -> float:
        """`time.perf_counter()` when the agent's next event says that state."""
        async for line in self._lines:
            if line.startswith("data: ") and '"agent.state"' in line:
                event = json.loads(line.removeprefix("data: "))
                if event["run_id"] == run_id and event["data"]["state"] == state:
                    return time.perf_counter()
        raise EOFError("the stream of events ended")


@contextlib.asynccontextmanager
async def events(client: httpx.AsyncClient) -> AsyncIterator[Events]:
    async with client.stream("GET", "/api/events") as response:
        response.raise_for_status()
        lines = response.aiter_lines()
        await anext(lines)
        yield Events(lines)


async def cpu_percent(seconds: float, *processes: psutil.Process) -> float:
    """Of one core, over that time, by all of them with their ended children."""
    before, started = sum(map(_cpu_s, processes)), time.perf_counter()
    await asyncio.sleep(seconds)
    return 100 * (sum(map(_cpu_s, processes)) - before) / (time.perf_counter() - started)


def _cpu_s(process: psutil.Process) -> float:
    return float(sum(process.cpu_times()[:4]))
