"""From what an agent does to the state event that a client of the API gets, in each of the ways we come to know it."""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from pathlib import Path

from benchmarks.fleet import Events, Fleet, events, fleet
from benchmarks.harness import CHECKOUT, Goal, Report, Sampler, Unit, take_turns

ROUNDS = 25
HOOK = CHECKOUT / "hooks" / "ccm-hook"
ASKS = (
    b'{"session_id":"5bb4","hook_event_name":"Notification","notification_type":"permission_prompt","message":"May I?"}'
)
GOES_ON = (
    b'{"session_id":"5bb4","hook_event_name":"PreToolUse","tool_name":"Bash","tool_input":{},"tool_use_id":"toolu_%d"}'
)


async def measure(rounds: int | None) -> Sequence[Report]:
    async with fleet(max_agents=10) as world, world.api() as client, events(client) as stream:
        hooked, registered = await _claude(world), await _claude(world)
        samples = await take_turns(
            {
                "hook": _hook(world, stream, hooked),
                "session registry": _registry(world, stream, registered),
                "marker in print mode": _end(world, stream, "prints"),
                "exit": _end(world, stream, "waits"),
            },
            rounds or ROUNDS,
        )
    goals = [
        Goal("hook: p95, ms", 1000 * samples["hook"].p95, 50),
        Goal("session registry: p95, ms", 1000 * samples["session registry"].p95, 50),
        Goal("marker in print mode: p95, ms", 1000 * samples["marker in print mode"].p95, 100),
        Goal("exit: p95, ms", 1000 * samples["exit"].p95, 100),
    ]
    notes = ["the process of ccm-hook and the way through the event stream are in here"]
    question = "how long until a client knows an agent's new state?"
    return [Report("state_latency", question, Unit.MILLISECONDS, samples, goals, notes)]


async def _claude(world: Fleet) -> str:
    """The run of a new stub of Claude Code."""
    await world.add("executor")
    return world.last_run()


def _hook(world: Fleet, stream: Events, run_id: str) -> Sampler:
    spool = world.sandbox.state / "spool" / run_id
    changes = _alternately(("waiting", "Notification", lambda _: ASKS), ("working", "PreToolUse", _tool))

    async def sample() -> float:
        state, event, payload = next(changes)

        async def act() -> None:
            process = await asyncio.create_subprocess_exec(HOOK, spool, event, stdin=asyncio.subprocess.PIPE)
            await process.communicate(payload)

        return await _until(stream, run_id, state, act)

    return sample


def _tool(number: int) -> bytes:
    return GOES_ON % number


def _alternately(*changes: tuple[str, str, Callable[[int], bytes]]) -> Iterator[tuple[str, str, bytes]]:
    for number in itertools.count():
        state, event, payload = changes[number % len(changes)]
        yield state, event, payload(number)


def _registry(world: Fleet, stream: Events, run_id: str) -> Sampler:
    """Its entry is written as Claude Code would do it."""
    record = json.loads((world.sandbox.state / "runs" / run_id / "run.json").read_text())
    pid = record["agent"]["pid"]
    path = world.sandbox.home / ".claude" / "sessions" / f"{pid}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    states = itertools.cycle([("working", "busy"), ("waiting", "waiting")])

    async def sample() -> float:
        state, status = next(states)

        async def act() -> None:
            _write_entry(path, pid, status)

        return await _until(stream, run_id, state, act)

    return sample


def _write_entry(path: Path, pid: int, status: str) -> None:
    entry = {"pid": pid, "sessionId": "6cc5", "status": status, "statusUpdatedAt": int(time.time() * 1000)}
    if status == "waiting":
        entry["waitingFor"] = "permission prompt"
    temporary = path.with_suffix(".tmp")
    temporary.write_text(json.dumps(entry))
    temporary.replace(path)


def _end(world: Fleet, stream: Events, profile: str) -> Sampler:
    """A new agent for each sample, which is let go."""

    async def sample() -> float:
        await world.add(profile)
        run_id = world.last_run()

        async def act() -> None:
            while not world.let_go():  # noqa: ASYNC110 - it is about to wait, and an attempt takes microseconds
                await asyncio.sleep(0)

        took_s = await _until(stream, run_id, "complete", act)
        await world.until(lambda: not world.count(f"profile = '{profile}' AND status = 'running'"))
        return took_s

    return sample


async def _until(stream: Events, run_id: str, state: str, act: Callable[[], Awaitable[None]]) -> float:
    told = asyncio.ensure_future(stream.state(run_id, state))
    await asyncio.sleep(0)
    started = time.perf_counter()
    await act()
    return await asyncio.wait_for(told, 30) - started
