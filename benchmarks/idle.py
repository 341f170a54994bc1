"""What the daemon costs while there is nothing to do."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import psutil

from benchmarks.fleet import cpu_percent, fleet
from benchmarks.harness import Goal, Report, Samples, Unit

ROUNDS = 4
STRETCH_S = 5.0
PSS = re.compile(r"^Pss:\s+(\d+) kB$", re.MULTILINE)


def megabytes(process: psutil.Process) -> tuple[float, float]:
    """Resident, and its proportional share of what it has in common with others."""
    resident = process.memory_info().rss / 1e6
    share = PSS.search(Path(f"/proc/{process.pid}/smaps_rollup").read_text())
    return resident, int(share[1]) * 1024 / 1e6 if share else resident


async def measure(rounds: int | None) -> Sequence[Report]:
    async with fleet(max_agents=10) as world:
        daemon, server = world.daemon, await world.server()
        await cpu_percent(STRETCH_S)
        cpu = [(await cpu_percent(STRETCH_S, daemon)) for _ in range(rounds or ROUNDS)]
        server_cpu = [await cpu_percent(STRETCH_S, server)]
        children = daemon.children(recursive=True)
        rss_mb, pss_mb = megabytes(daemon)
        notes = [f"{daemon.num_threads()} threads; processes beside it: {[child.name() for child in children]}"]
    samples = {"daemon": Samples(tuple(cpu)), "tmux server": Samples(tuple(server_cpu))}
    goal = Goal("of a core", samples["daemon"].median, 0.5)
    processor = Report("idle_cpu", "what does an idle daemon take of a core?", Unit.PERCENT, samples, [goal], notes)
    sizes = {"resident": Samples((rss_mb,)), "proportional share": Samples((pss_mb,))}
    limit = Goal("MB resident", rss_mb, 90)
    return [processor, Report("idle_memory", "how large is an idle daemon?", Unit.MEGABYTES, sizes, [limit])]
