"""Whether the daemon grows: a simulated day of it, with all its loops and a trickle of tasks, measured every hour.

`python -m benchmarks.soak HOURS` passes the hours in this process, for a memory that nothing else uses.
"""

from __future__ import annotations

import asyncio
import gc
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from benchmarks.harness import CHECKOUT, Goal, Report, Samples, Unit
from benchmarks.simulated_daemon import SimulatedDaemon, simulated_daemon
from benchmarks.virtual_time import VirtualLoop

HOURS = 24
HOUR_S = 3600.0
TASK_EVERY_S = 180.0
SCRAPE_EVERY_S = 60.0
MOST_GROWTH = 1.05
"""Of the last quarter to the second: in the first one, caches fill."""
LIMIT_S = 3600.0
MEMORY_DISK = Path("/dev/shm")


@dataclass(frozen=True, slots=True)
class Size:
    """Of this process at the end of a simulated hour."""

    rss_mb: float
    objects: int
    """That the garbage collector knows of."""
    blocks: int
    """Of memory, that Python has given out: texts and numbers, too."""
    cpu_s: float
    """Used since the beginning."""


@dataclass(frozen=True, slots=True)
class Day:
    sizes: Sequence[Size]
    tasks: Mapping[str, int]
    """By status, at the end."""
    still: Sequence[str]
    """Loops that stood still for too long."""


async def watch(hours: int, pass_hour: Callable[[], Awaitable[object]]) -> list[Size]:
    process, sizes = psutil.Process(), []
    for _ in range(hours):
        await pass_hour()
        gc.collect()
        blocks, objects = sys.getallocatedblocks(), len(gc.get_objects())
        sizes.append(Size(process.memory_info().rss / 1e6, objects, blocks, time.process_time()))
    return sizes


def growth(values: Sequence[float]) -> float:
    """Median of the last quarter to that of the second."""
    quarter = len(values) // 4
    return statistics.median(values[-quarter:]) / statistics.median(values[quarter : 2 * quarter])


def slope(values: Sequence[float]) -> float:
    """Per hour, without the first quarter: the least squares' line."""
    settled = values[len(values) // 4 :]
    return statistics.linear_regression(range(len(settled)), settled).slope


def goals(sizes: Sequence[Size]) -> list[Goal]:
    by_what: dict[str, list[float]] = {
        "memory": [size.rss_mb for size in sizes],
        "live objects": [size.objects for size in sizes],
        "blocks": [size.blocks for size in sizes],
    }
    return [
        Goal(f"{what}, the last quarter to the second", growth(values), MOST_GROWTH) for what, values in by_what.items()
    ]


def report(day: Day) -> Report:
    sizes, hours = day.sizes, len(day.sizes)
    rss, quarter = [size.rss_mb for size in sizes], hours // 4
    quarters = {
        f"hours {start + 1} to {start + quarter}": Samples(tuple(rss[start : start + quarter]))
        for start in range(0, quarter * 4, quarter)
    }
    notes = [
        f"after the first quarter, per hour: {1000 * slope(rss):+.0f} kB, {slope([s.objects for s in sizes]):+.1f} "
        f"live objects, {slope([s.blocks for s in sizes]):+.1f} blocks; in the end {sizes[-1].objects:,} and "
        f"{sizes[-1].blocks:,}",
        f"{sizes[-1].cpu_s:.0f} s of processor time; tasks: {dict(day.tasks)}",
    ]
    undone = sum(count for status, count in day.tasks.items() if status != "succeeded")
    more = [
        Goal("tasks that did not succeed", undone, 0),
        Goal("loops that stood still", len(day.still), 0),
    ]
    question = f"does a daemon grow that works for {hours} hours?"
    return Report("soak", question, Unit.MEGABYTES, quarters, [*goals(sizes), *more], notes)


async def measure(rounds: int | None) -> Sequence[Report]:
    """`rounds`: simulated hours."""
    hours = str(rounds or HOURS)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "benchmarks.soak", hours),
        cwd=CHECKOUT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        said, log = await asyncio.wait_for(process.communicate(), LIMIT_S)
    finally:
        if process.returncode is None:
            process.kill()
    assert process.returncode == 0, log.decode()[-2000:]
    told = json.loads(said.splitlines()[-1])
    return [report(Day([Size(**size) for size in told["sizes"]], told["tasks"], told["still"]))]


# --- the day ---


async def work_for(daemon: SimulatedDaemon, seconds: float) -> None:
    """A new task every few minutes, and somebody who reads the figures every minute."""
    loop = asyncio.get_running_loop()
    end_s, task_s = loop.time() + seconds, loop.time()
    while loop.time() < end_s:
        if loop.time() >= task_s:
            task_s += TASK_EVERY_S
            await daemon.add_task()
        await daemon.raw("GET", "/metrics")
        await asyncio.sleep(SCRAPE_EVERY_S)


async def pass_day(hours: int, directory: Path) -> Day:
    async with simulated_daemon(directory) as daemon:
        sizes = await watch(hours, lambda: work_for(daemon, HOUR_S))
        return Day(sizes, await daemon.statuses(), daemon.watchdog.late)


def main() -> None:
    memory = MEMORY_DISK if MEMORY_DISK.is_dir() else None
    with (
        tempfile.TemporaryDirectory(prefix="ccm-soak-", dir=memory) as name,
        asyncio.Runner(loop_factory=VirtualLoop) as runner,
    ):
        day = runner.run(pass_day(int(sys.argv[1]), Path(name)))
    print(json.dumps(asdict(day)))


if __name__ == "__main__":
    main()
