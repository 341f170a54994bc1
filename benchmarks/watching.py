"""What watching agents costs: daemon and tmux server together, the server alone, and polling through libtmux.

The same windows are watched one way after the other, so that nothing but the watcher differs.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence

import psutil

from benchmarks.fleet import Fleet, cpu_percent, fleet
from benchmarks.harness import CHECKOUT, Goal, Report, Samples, Unit

CELLS = (("waits", 10), ("waits", 100), ("waits", 300), ("works", 100))
"""Profile and number of agents."""
NAMES = {"waits": "idle", "works": "busy"}
STRETCH_S = 20.0
SETTLE_S = 15.0
"""Agents are watched for hours: what their start costs is another question."""
MOST = max(count for _, count in CELLS)
ALONE, OURS, PEER = "tmux server alone", "daemon and server", "libtmux polling each second"


async def measure(rounds: int | None) -> Sequence[Report]:
    reports = []
    for profile in NAMES:
        async with fleet(MOST) as world:
            there = 0
            for count in [count for one, count in CELLS if one == profile]:
                if there:
                    world.sandbox.start_daemon()
                await world.add(profile, count - there)
                there = count
                reports.append(await _cell(world, profile, count, rounds or 1))
    return reports


async def _cell(world: Fleet, profile: str, count: int, rounds: int) -> Report:
    """Leaves the daemon stopped."""
    server = await world.server()
    ours = await _stretches(rounds, world.daemon, server)
    world.sandbox.stop_daemon()
    alone = await _stretches(rounds, server)
    peer = await _polled(world, server, rounds)
    samples = {ALONE: alone, OURS: ours, PEER: peer}
    name = f"watching_{count}_{NAMES[profile]}"
    question = f"what does it take of a core to watch {count} {NAMES[profile]} agents?"
    return Report(name, question, Unit.PERCENT, samples, _goals(profile, count, samples))


def _goals(profile: str, count: int, samples: dict[str, Samples]) -> Sequence[Goal]:
    alone, ours, peer = (samples[name].median for name in (ALONE, OURS, PEER))
    if (profile, count) == ("waits", 300):
        cheaper = (peer - alone) / max(ours - alone, 0.01)
        return [
            Goal("% of a core on top of the server", ours - alone, 1),
            Goal("cheaper than libtmux, both without the server's own", cheaper, 50, at_least=True),
        ]
    return [Goal("% of a core on top of the server", ours - alone, 5)] if (profile, count) == ("works", 100) else []


async def _stretches(rounds: int, *processes: psutil.Process) -> Samples:
    await asyncio.sleep(SETTLE_S)
    return Samples(tuple([await cpu_percent(STRETCH_S, *processes) for _ in range(rounds)]))


async def _polled(world: Fleet, server: psutil.Process, rounds: int) -> Samples:
    poller = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "benchmarks.libtmux_poller", "ccm", cwd=CHECKOUT, env=world.tmux_environment
    )
    try:
        return await _stretches(rounds, psutil.Process(poller.pid), server)
    finally:
        poller.kill()
        await poller.wait()
