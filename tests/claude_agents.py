"""Agents as the daemon starts them, without a daemon: real driver, real launcher, real tmux, real Claude Code."""

import asyncio
import json
import threading
import time
import uuid
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from ccm_orchestrator.adapters.claude.driver import ClaudeDriver
from ccm_orchestrator.adapters.rundir import RunDirectories
from ccm_orchestrator.domain.agent import Evidence, Signal
from ccm_orchestrator.domain.events import HookRecord
from ccm_orchestrator.domain.profiles import Profile
from ccm_orchestrator.domain.run import Run, RunState, WindowRef
from ccm_orchestrator.ports.agents import LaunchOrder, Reading, Report, SessionTrace
from ccm_orchestrator.ports.terminal import Key, Terminal
from tests.claude import ClaudeSandbox

HOOK_SCRIPT = Path(__file__).parents[1] / "hooks" / "ccm-hook"
PATIENCE_S = 60.0
TOKEN = "token-of-this-run"
ENDS = frozenset({Signal.TURN_ENDED, Signal.TURN_FAILED})


class Agent:
    """One run, and all that was read of it so far."""

    def __init__(self, world: "World", run: Run, window: WindowRef) -> None:
        self._world = world
        self.run = run
        self.window = window
        self.records: list[HookRecord] = []
        self.readings: list[Reading] = []

    @property
    def evidence(self) -> Sequence[Evidence]:
        return [item for reading in self.readings for item in reading.evidence if not item.subagent]

    def payloads(self, event: str) -> Sequence[dict[str, Any]]:
        return [json.loads(record.raw) for record in self.records if record.hook_event_name == event]

    def events(self, kind: str) -> Sequence[Mapping[str, object]]:
        return [event.data for reading in self.readings for event in reading.events if event.kind == kind]

    async def read(self) -> None:
        """Takes what the hooks have spooled."""
        spooled = await self._world.launchpad.spooled(self.run.run_id)
        self.records += spooled
        self.readings += [self._world.driver.read_hook(record, self.run.task_id) for record in spooled]
        await self._world.launchpad.discard(spooled)

    async def until(self, signals: Collection[Signal], count: int = 1) -> Evidence:
        """The `count`-th evidence of hooks with one of these signals."""

        async def found() -> Evidence | None:
            await self.read()
            told = [item for item in self.evidence if item.signal in signals]
            return told[count - 1] if len(told) >= count else None

        item: Evidence = await self.eventually(found, f"{sorted(signals)} × {count}")
        return item

    async def until_seen(self, signal: Signal, detail: str = "") -> Evidence:
        """Evidence of what lies beside the hooks."""

        async def found() -> Evidence | None:
            seen = await self._world.driver.observe(await self.trace())
            return next((item for item in seen if item.signal is signal and detail in item.detail), None)

        item: Evidence = await self.eventually(found, f"{signal} seen")
        return item

    async def until_ended(self) -> None:
        async def ended() -> bool:
            return not (await self._world.launchpad.trace(self.run.run_id)).lock_held

        await self.eventually(ended, "the launcher's end")
        await self.read()

    async def eventually(self, condition: Callable[[], Any], what: str) -> Any:
        deadline = time.monotonic() + PATIENCE_S
        while not (value := await condition()):
            if time.monotonic() > deadline:
                raise AssertionError(f"no {what} within {PATIENCE_S:.0f} s; screen:\n{await self.screen()}")
            await asyncio.sleep(0.05)
        return value

    async def trace(self) -> SessionTrace:
        told = await self._world.launchpad.trace(self.run.run_id)
        paths = [reading.transcript_path for reading in self.readings if reading.transcript_path]
        directory = self._world.launchpad.directory(self.run.run_id)
        return SessionTrace(self.run, told.agent, directory, self.run.session_id, paths[-1] if paths else None)

    async def report(self) -> Report:
        return await self._world.driver.report(await self.trace(), self.readings)

    async def screen(self, styled: bool = False) -> str:
        return await self._world.terminal.capture(self.window, styled=styled)

    async def say(self, text: str) -> None:
        """Submits a message as the engine does, with a pause on both sides of a key."""
        for key in self._world.driver.message_keys(text, await self.screen(styled=True)):
            if isinstance(key, Key):
                await asyncio.sleep(0.15)
                await self._world.terminal.press(self.window, key)
                await asyncio.sleep(0.15)
            else:
                await self._world.terminal.type_text(self.window, key)

    async def press_until(self, key: Key, signals: Collection[Signal]) -> None:
        """Presses the key until observation tells one of the signals: a very early key is swallowed."""

        async def told() -> bool:
            await self._world.terminal.press(self.window, key)
            for _ in range(20):
                seen = await self._world.driver.observe(await self.trace())
                if any(item.signal in signals for item in seen):
                    return True
                await asyncio.sleep(0.05)
            return False

        await self.eventually(told, f"{sorted(signals)} after {key}")

    async def stop(self) -> None:
        """Once it is at its prompt: 2.1.197 loses what it has not yet written to its transcript."""
        await self.until_seen(Signal.IDLE)
        await self._world.launchpad.terminate(self.run.run_id)
        await self.until_ended()


class World:
    """One release of Claude Code with a home in which it was never started, and one registered project."""

    def __init__(self, sandbox: ClaudeSandbox, terminal: Terminal, directory: Path) -> None:
        (sandbox.home / ".claude.json").unlink(missing_ok=True)
        self.sandbox = sandbox
        self.terminal = terminal
        self.launchpad = RunDirectories(directory / "state")
        self.agents: list[Agent] = []
        self.driver = ClaudeDriver(sandbox.binary, sandbox.env, HOOK_SCRIPT, self._projects)

    async def _projects(self) -> Collection[Path]:
        return [self.sandbox.project]

    async def start(
        self, prompt: str, profile: Profile | None = None, permission_url: str | None = None, resume: Run | None = None
    ) -> Agent:
        profile = profile or Profile("executor")
        run = Run(
            run_id=uuid.uuid4().hex,
            task_id="task-1",
            fence=1,
            attempt=1,
            term=1,
            state=RunState.INTENDED,
            project="project",
            cwd=self.sandbox.project,
            profile=profile.name,
            driver="claude",
            mode=profile.mode,
            session_id=resume.session_id if resume else str(uuid.uuid4()),
            resumed=resume is not None,
            created_at=datetime.now(UTC),
        )
        order = LaunchOrder(
            run=run,
            prompt=prompt,
            profile=replace(profile, env={**profile.env, "IS_SANDBOX": "1"}),
            model=profile.model,
            budget_usd=profile.budget_usd,
            run_directory=self.launchpad.directory(run.run_id),
            spool_directory=self.launchpad.spool_directory(run.run_id),
            permission_url=permission_url,
            token=TOKEN,
        )
        argv = await self.launchpad.prepare(run.run_id, 1, await self.driver.prepare(order))
        agent = Agent(self, run, await self.terminal.open_window(run.run_id, argv))
        self.agents.append(agent)
        return agent

    async def close(self) -> None:
        for agent in self.agents:
            await self.launchpad.kill(agent.run.run_id)


class PermissionServer:
    """Stands in for the daemon: holds permission hooks and answers with what `decide` returns."""

    def __init__(self, decide: Callable[[dict[str, Any]], Mapping[str, object]]) -> None:
        self.asked: list[dict[str, Any]] = []
        self.authorizations: list[str | None] = []
        self._decide = decide
        self.url = ""

    @contextmanager
    def running(self) -> Iterator["PermissionServer"]:
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                payload = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                outer.asked.append(payload)
                outer.authorizations.append(self.headers["Authorization"])
                body = json.dumps(outer._decide(payload)).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        self.url = f"http://127.0.0.1:{server.server_port}/permission"
        try:
            yield self
        finally:
            server.shutdown()
            server.server_close()
            thread.join()
