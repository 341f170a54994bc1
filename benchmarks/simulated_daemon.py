"""The whole daemon on a virtual clock: its real wiring, loops, SQLite file and API; agents and terminal are the fakes.

Its orchestrator lives on the same event loop as the rest of it, for the two must share one clock.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import ExitStack, asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Any
from unittest.mock import patch

from benchmarks.virtual_time import VirtualClock, VirtualLoop
from ccm_orchestrator.adapters.clock import SystemClock
from ccm_orchestrator.adapters.sqlite.commits import Commits
from ccm_orchestrator.domain.result import GitChange
from ccm_orchestrator.engine.heartbeats import Hearts, Pulse
from ccm_orchestrator.engine.orchestrator import Orchestrator
from ccm_orchestrator.fakes.driver import FakeDriver
from ccm_orchestrator.fakes.launchpad import FakeLaunchpad
from ccm_orchestrator.fakes.terminal import FakeTerminal, FakeWindow
from ccm_orchestrator.fakes.watch import FakeWatch
from ccm_orchestrator.settings import Settings
from ccm_orchestrator.wiring import daemon as wiring
from ccm_orchestrator.wiring import self_check
from ccm_orchestrator.wiring.daemon import Daemon

TOOLS = 8
"""That an agent uses for its task."""
TOOL_S = 5.0
LOOK_S = 5.0
SPARING = {"poll_interval_s": 5.0, "backups": {"interval_hours": 6.0}, "event_retention_days": 0.25}
"""The poll is what an idle daemon does most; backups and pruning come several times a day."""


class SimulatedDaemon:
    """Get one from `simulated_daemon`."""

    def __init__(self, directory: Path, loop: VirtualLoop) -> None:
        self._loop = loop
        self._project = directory / "project"
        self._project.mkdir()
        self.settings = Settings.model_validate(
            SPARING | {"state_directory": directory / "state", "api": {"port": _free_port()}}
        )
        self.clock = VirtualClock(loop)
        self.watch = FakeWatch()
        self.pad = FakeLaunchpad(self.clock, self.watch)
        self.terminal = FakeTerminal(self._opened)
        self.driver = FakeDriver()
        self.driver.registry = directory / "registry"
        self._token = ""
        self._working: set[asyncio.Task[None]] = set()
        self._watchdogs: list[_Watchdog] = []

    @property
    def watchdog(self) -> _Watchdog:
        return self._watchdogs[-1]

    # --- the world of the daemon ---

    def _patches(self) -> Sequence[contextlib.AbstractContextManager[object]]:
        put, ask = Commits.put, self_check._ask

        def waited_for(commits: Commits, *arguments: Any) -> asyncio.Future[Any]:
            return self._loop.wait_for_thread(put(commits, *arguments))

        async def asked(host: str, port: int) -> None:
            with self._loop.talking():
                await ask(host, port)

        replaced: dict[str, object] = {
            "build_terminal": lambda _settings: self.terminal,
            "build_launchpad": lambda _settings: self.pad,
            "build_drivers": lambda *_: {"claude": self.driver},
            "FileWatch": lambda _directory: self.watch,
            "GitWorkspace": lambda _environment: _NoRepository(),
            "Watchdog": self._build_watchdog,
        }
        return [
            patch.object(SystemClock, "now", lambda _clock: self.clock.now()),
            patch.object(SystemClock, "uptime_s", lambda _clock: self.clock.uptime_s()),
            patch.object(Commits, "put", waited_for),
            patch.object(self_check, "_ask", asked),
            *(patch.object(wiring, name, stand_in) for name, stand_in in replaced.items()),
        ]

    def _build_watchdog(self, **arguments: Any) -> _Watchdog:
        self._watchdogs.append(_Watchdog(**arguments))
        return self.watchdog

    @asynccontextmanager
    async def living(self) -> AsyncIterator[None]:
        with ExitStack() as stack:
            for one in self._patches():
                stack.enter_context(one)
            daemon = Daemon(self.settings, {})
            try:
                await daemon.start()
                self._token = (self.settings.state_directory / "api-token").read_text().strip()
                await self.call("POST", "/api/projects", {"name": "demo", "path": str(self._project)})
                yield
            finally:
                await self.watchdog.end()
                await daemon.stop()

    # --- its agents ---

    def _opened(self, window: FakeWindow) -> None:
        run_id = window.run_id
        if run_id is not None and self.pad.start(run_id):
            task = asyncio.create_task(self._work(run_id))
            self._working.add(task)
            task.add_done_callback(self._working.discard)

    async def _work(self, run_id: str) -> None:
        def says(event: str, signal: str, kind: str | None = None, **data: object) -> None:
            told = {"signal": signal, "data": data, "session_id": f"session-{run_id}", "detail": "Done."}
            self.pad.hook(run_id, event, told | ({"kind": kind} if kind else {}))

        await asyncio.sleep(1.0)
        says("SessionStart", "session_started", "session_start", model="fake")
        says("UserPromptSubmit", "prompt_accepted")
        for number in range(TOOLS):
            tool = {"tool_use_id": f"{run_id}-{number}", "tool_name": "Bash", "output": "line\n" * 100}
            says("PreToolUse", "tool_started", "tool_use_start", **tool)
            await asyncio.sleep(TOOL_S)
            says("PostToolUse", "tool_finished", "tool_use_complete", **tool)
        says("Stop", "turn_ended")
        while self.pad.runs[run_id].agent_alive or run_id in self.watch.runs:  # noqa: ASYNC110 - takes no time
            await asyncio.sleep(1.0)
        self._forget(run_id)

    def _forget(self, run_id: str) -> None:
        """The fakes keep everything, for tests to look at; here only the daemon may grow."""
        del self.pad.runs[run_id]
        self.terminal.opened.clear()
        self.driver.orders.clear()
        self.driver.conversations.clear()

    # --- its clients ---

    async def add_task(self) -> str:
        task = await self.call("POST", "/api/tasks", {"project": "demo", "prompt": "Do it."})
        return str(task["task_id"])

    async def statuses(self) -> dict[str, int]:
        """How many tasks there are, by status."""
        counts: dict[str, int] = (await self.call("GET", "/api/status"))["tasks"]
        return {status: count for status, count in counts.items() if count}

    async def call(self, method: str, path: str, body: object = None) -> Any:
        answer = await self.raw(method, path, json.dumps(body).encode() if body is not None else b"")
        return json.loads(answer)

    async def raw(self, method: str, path: str, body: bytes = b"") -> bytes:
        api = self.settings.api
        with self._loop.talking():
            reader, writer = await asyncio.open_connection(api.host, api.port)
            head = (
                f"{method} {path} HTTP/1.1\r\nHost: {api.host}:{api.port}\r\nConnection: close\r\n"
                f"X-API-Key: {self._token}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
            )
            writer.write(head.encode() + body)
            answer = await reader.read()
            writer.close()
        status, _, content = answer.partition(b"\r\n\r\n")
        if not status.startswith(b"HTTP/1.1 2"):
            raise AssertionError(f"{method} {path} was answered: {answer.decode()}")
        return content


class _Watchdog:
    """The real one's look, on the loop that it watches."""

    def __init__(
        self,
        build: Callable[[], Orchestrator],
        around: Hearts,
        incident: Callable[[str], None],
        give_up: Callable[[str], None],
        **_: object,
    ) -> None:
        self._build = build
        self.around = around
        self.late: list[str] = []
        """Loops that stood still for too long."""
        self.orchestrator: Orchestrator | None = None
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def hearts(self) -> list[Any]:
        return [*self.around, *(self.orchestrator.hearts if self.orchestrator else ())]

    def start(self) -> None:
        self.orchestrator = self._build()
        self._tasks = [asyncio.create_task(self.orchestrator.run()), asyncio.create_task(self._look())]

    def stop(self) -> None:
        """`end` comes before."""

    async def end(self) -> None:
        if self.orchestrator is None:
            return
        self.orchestrator.stop()
        self._tasks[1].cancel()
        await self._tasks[0]

    @property
    def ready(self) -> bool:
        return self.orchestrator is not None and self.orchestrator.ready

    @property
    def healthy(self) -> bool:
        return not self.late

    def poke(self) -> None:
        if self.orchestrator is not None:
            self.orchestrator.poke()

    async def _look(self) -> None:
        outer, inner = Pulse(LOOK_S), Pulse(LOOK_S)
        while self.orchestrator is not None:
            await asyncio.sleep(LOOK_S)
            self.late += [*outer.late(self.around), *inner.late(self.orchestrator.hearts)]


class _NoRepository:
    async def base_commit(self, path: Path) -> str | None:
        return None

    async def change_since(self, path: Path, base_commit: str, since: datetime | None = None) -> GitChange | None:
        return None


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@asynccontextmanager
async def simulated_daemon(directory: Path) -> AsyncIterator[SimulatedDaemon]:
    loop = asyncio.get_running_loop()
    if not isinstance(loop, VirtualLoop):
        raise TypeError("a simulated daemon lives on a VirtualLoop")
    daemon = SimulatedDaemon(directory, loop)
    async with daemon.living():
        yield daemon
