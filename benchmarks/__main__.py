"""python -m benchmarks [NAME...] [--rounds N] [--strict] [--list]

Prints a table for each measurement and keeps its JSON in benchmarks/out. `--strict` exits 1 when a goal was missed.
"""

import argparse
import asyncio
import sys
from collections.abc import Awaitable, Callable, Mapping

from benchmarks import hook_cost, ingest, spawn
from benchmarks.harness import Report, keep, table

MEASUREMENTS: Mapping[str, Callable[[int | None], Awaitable[Report]]] = {
    "hook_cost": hook_cost.measure,
    "spawn": spawn.measure,
    "ingest": ingest.measure,
}
"""Each takes the number of rounds; None: as many as it needs."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="of the measurements to make; none: all")
    parser.add_argument("--rounds", type=int, help="how often each contender runs")
    parser.add_argument("--strict", action="store_true", help="exit 1 when a goal was missed")
    parser.add_argument("--list", action="store_true", help="name the measurements and make none")
    wanted = parser.parse_args()
    unknown = sorted(set(wanted.names) - set(MEASUREMENTS))
    if unknown:
        parser.error(f"no measurement is called {', '.join(unknown)}; there are: {', '.join(MEASUREMENTS)}")
    if wanted.list:
        print("\n".join(MEASUREMENTS))
        return 0
    missed = [not asyncio.run(_make(name, wanted.rounds)) for name in wanted.names or MEASUREMENTS]
    return 1 if wanted.strict and any(missed) else 0


async def _make(name: str, rounds: int | None) -> bool:
    """Whether all goals were met."""
    report = await MEASUREMENTS[name](rounds)
    print(table(report))
    print(f"  kept in {keep(report)}\n", flush=True)
    return all(goal.met for goal in report.goals)


if __name__ == "__main__":
    sys.exit(main())
