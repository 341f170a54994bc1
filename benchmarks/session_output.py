"""From a line that an agent writes to the client that follows its session: launcher, file, daemon, HTTP."""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import httpx

from benchmarks.harness import Goal, Report, Sampler, Samples, Unit, take_turns
from ccm_orchestrator.demo.sandbox import Sandbox

ROUNDS = 300
LIMIT_S = 60.0
LINE_S = 0.05
"""Between two lines of an agent."""
CROWD = 9
"""Further sessions whose agents write as much, each followed by a client."""
PIPE, ALONE, CROWDED = "bare pipe", "session", "session among ten"
AGENT = f"""\
#!{sys.executable} -S
import sys, time
if "--version" in sys.argv:
    print("2.1.329 (Claude Code)")
    raise SystemExit
while True:
    print('{{"type":"assistant","at":%.6f}}' % time.perf_counter(), flush=True)
    time.sleep({LINE_S})
"""


async def measure(rounds: int | None) -> Sequence[Report]:
    with tempfile.TemporaryDirectory(prefix="ccm-", ignore_cleanup_errors=True) as name:
        agent = Path(name) / "claude"
        agent.write_text(AGENT)
        agent.chmod(0o700)
        with Sandbox(Path(name) / "world", agent, "http://127.0.0.1:9", head="max_agents = 20\n") as world:
            world.run("project", "add", str(world.project), "--name", "sample")
            world.start_daemon()
            samples = await _taken(agent, world, rounds or ROUNDS)
    goals = [Goal(f"{name}: p95, ms", 1000 * samples[name].p95, 50) for name in (ALONE, CROWDED)]
    notes = [f"each agent writes {1 / LINE_S:g} lines a second; the clients share the cores with the daemon"]
    question = "how long from a line that an agent writes until its client has it?"
    return [Report("session_output", question, Unit.MILLISECONDS, samples, goals, notes)]


async def _taken(agent: Path, world: Sandbox, rounds: int) -> dict[str, Samples]:
    async with AsyncExitStack() as stack:
        pipe = await stack.enter_async_context(_piped(agent))
        session = await stack.enter_async_context(_followed(world))
        alone = await take_turns({PIPE: pipe, ALONE: session}, rounds)
        for _ in range(CROWD):
            await stack.enter_async_context(_followed(world))
        crowded = await take_turns({CROWDED: session}, rounds)
    return alone | crowded


@asynccontextmanager
async def _piped(agent: Path) -> AsyncIterator[Sampler]:
    process = await asyncio.create_subprocess_exec(agent, stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None

    async def lines(output: asyncio.StreamReader) -> AsyncIterator[str]:
        while line := await output.readline():
            yield line.decode()

    try:
        async with _sampled(lines(process.stdout)) as sampler:
            yield sampler
    finally:
        process.kill()
        await process.wait()


@asynccontextmanager
async def _followed(world: Sandbox) -> AsyncIterator[Sampler]:
    token = (world.state / "api-token").read_text().strip()
    url, headers = f"http://127.0.0.1:{world.port}", {"Authorization": f"Bearer {token}"}
    async with (
        httpx.AsyncClient(base_url=url, headers=headers, timeout=LIMIT_S) as client,
        client.stream("POST", "/spawn", json={"prompt": "Write."}) as answer,
        _sampled(_outputs(answer)) as sampler,
    ):
        yield sampler


async def _outputs(answer: httpx.Response) -> AsyncIterator[str]:
    assert answer.status_code == 200, await answer.aread()
    async for line in answer.aiter_lines():
        if line.startswith("data: "):
            yield json.loads(line.removeprefix("data: "))["data"]


@asynccontextmanager
async def _sampled(lines: AsyncIterator[str]) -> AsyncIterator[Sampler]:
    """The sampler gives the age of the next line to come, at the moment when it came."""
    upcoming: asyncio.Queue[float] = asyncio.Queue()

    async def read() -> None:
        async for line in lines:
            upcoming.put_nowait(time.perf_counter() - json.loads(line)["at"])

    async def sample() -> float:
        while not upcoming.empty():
            upcoming.get_nowait()
        return await asyncio.wait_for(upcoming.get(), LIMIT_S)

    reading = asyncio.create_task(read())
    try:
        await sample()
        yield sample
    finally:
        reading.cancel()
        await asyncio.wait({reading})
