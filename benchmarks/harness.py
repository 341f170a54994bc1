"""How things are measured here: contenders take turns, round after round, and are compared by medians.

Whatever slows the machine down slows them all down, so the ratio to the floor is worth more than any number of seconds.
"""

import json
import math
import os
import platform
import statistics
import subprocess
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

CHECKOUT = Path(__file__).parents[1]
OUT = CHECKOUT / "benchmarks" / "out"
WARM_UP_ROUNDS = 2

Sampler = Callable[[], Awaitable[float]]
"""One sample: does the thing once and returns what it measured, usually seconds."""


class Unit(StrEnum):
    """What samples are shown in. Samples in seconds are shown in milliseconds."""

    MILLISECONDS = "ms"
    PER_SECOND = "/s"
    """The sample is seconds per item, shown as items per second."""
    PERCENT = "%"
    MEGABYTES = "MB"

    def show(self, value: float) -> str:
        if self is Unit.PER_SECOND:
            return f"{1 / value:,.0f} /s"
        if self is Unit.MILLISECONDS:
            return f"{value * 1000:,.2f} ms"
        return f"{value:,.2f} {self.value}"


@dataclass(frozen=True)
class Samples:
    values: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    @property
    def p95(self) -> float:
        return self.quantile(95)

    def quantile(self, percent: int) -> float:
        """The smallest sample that at least so many percent of them do not exceed."""
        ordered = sorted(self.values)
        return ordered[max(0, -(-len(ordered) * percent // 100) - 1)]


@dataclass(frozen=True)
class Goal:
    """A figure with its limit; the figure must not be above it, or with `at_least` not below."""

    text: str
    figure: float
    limit: float
    at_least: bool = False

    @property
    def met(self) -> bool:
        return self.figure >= self.limit if self.at_least else self.figure <= self.limit


@dataclass(frozen=True)
class Report:
    name: str
    question: str
    unit: Unit
    samples: Mapping[str, Samples]
    """By contender; the first is the floor."""
    goals: Sequence[Goal] = ()
    notes: Sequence[str] = field(default=())

    def ratio(self, contender: str) -> float:
        """Of its median to the floor's; infinite when the floor is nothing at all."""
        return _ratio(self.samples[contender].median, self.floor.median)

    def p95_ratio(self, contender: str) -> float:
        return _ratio(self.samples[contender].p95, self.floor.p95)

    @property
    def floor(self) -> Samples:
        return next(iter(self.samples.values()))


def _ratio(value: float, floor: float) -> float:
    return value / floor if floor else math.inf


async def take_turns(contenders: Mapping[str, Sampler], rounds: int) -> dict[str, Samples]:
    """Each round runs every contender once, and starts with another one than the last round did."""
    names = list(contenders)
    values: dict[str, list[float]] = {name: [] for name in names}
    for number in range(-WARM_UP_ROUNDS, rounds):
        start = number % len(names)
        for name in names[start:] + names[:start]:
            sample = await contenders[name]()
            if number >= 0:
                values[name].append(sample)
    return {name: Samples(tuple(taken)) for name, taken in values.items()}


async def seconds(act: Callable[[], Awaitable[object]]) -> float:
    started = time.perf_counter()
    await act()
    return time.perf_counter() - started


def table(report: Report) -> str:
    width = max(map(len, report.samples))
    lines = [f"{report.name}: {report.question}", f"  {'':{width}}  {'median':>14} {'p95':>14} {'ratio':>9} {'p95':>9}"]
    for name, samples in report.samples.items():
        median, p95 = report.unit.show(samples.median), report.unit.show(samples.p95)
        ratios = f"{report.ratio(name):>8.2f}x {report.p95_ratio(name):>8.2f}x"
        lines.append(f"  {name:{width}}  {median:>14} {p95:>14} {ratios}")
    lines += [
        f"  {'met   ' if goal.met else 'MISSED'}  {goal.text}: {goal.figure:,.2f}, goal "
        f"{'at least' if goal.at_least else 'at most'} {goal.limit:,g}"
        for goal in report.goals
    ]
    return "\n".join([*lines, *(f"  note: {note}" for note in report.notes)])


def keep(report: Report, directory: Path = OUT) -> Path:
    """Writes everything to `NAME.json`, the single samples included."""
    directory.mkdir(parents=True, exist_ok=True)
    record = {
        "name": report.name,
        "question": report.question,
        "unit": report.unit.value,
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine(),
        "contenders": {
            name: {
                "median": samples.median,
                "p95": samples.p95,
                "ratio": _finite(report.ratio(name)),
                "p95_ratio": _finite(report.p95_ratio(name)),
                "samples": samples.values,
            }
            for name, samples in report.samples.items()
        },
        "goals": [vars(goal) | {"met": goal.met} for goal in report.goals],
        "notes": list(report.notes),
    }
    path = directory / f"{report.name}.json"
    path.write_text(json.dumps(record, indent=2) + "\n")
    return path


def _finite(ratio: float) -> float | None:
    return ratio if math.isfinite(ratio) else None


def machine() -> dict[str, object]:
    return {
        "system": platform.platform(),
        "python": platform.python_version(),
        "processors": os.cpu_count(),
        "load_1min": os.getloadavg()[0],
        "tmux": _says("tmux", "-V"),
        "commit": _says("git", "rev-parse", "--short", "HEAD"),
    }


def _says(*command: str) -> str:
    done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=False)
    return done.stdout.strip()
