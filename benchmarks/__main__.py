"""python -m benchmarks [NAME...] [--rounds N] [--strict] [--list]

Prints a table for each measurement and keeps its JSON in benchmarks/out. `--strict` exits 1 when a goal was missed.
"""

import argparse
import asyncio
import signal
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence

from benchmarks import (
    adoption,
    api,
    hook_cost,
    idle,
    ingest,
    row_to_agent,
    session_output,
    soak,
    spawn,
    start_up,
    state_latency,
    subscribers,
    supabase_claims,
    supabase_latency,
    supabase_renew,
    supabase_weight,
    watching,
)
from benchmarks.harness import Report, keep, table

MEASUREMENTS: Mapping[str, Callable[[int | None], Awaitable[Sequence[Report]]]] = {
    "hook_cost": hook_cost.measure,
    "spawn": spawn.measure,
    "row_to_agent": row_to_agent.measure,
    "state_latency": state_latency.measure,
    "session_output": session_output.measure,
    "subscribers": subscribers.measure,
    "watching": watching.measure,
    "ingest": ingest.measure,
    "adoption": adoption.measure,
    "start_up": start_up.measure,
    "idle": idle.measure,
    "soak": soak.measure,
    "api": api.measure,
    "supabase_claims": supabase_claims.measure,
    "supabase_latency": supabase_latency.measure,
    "supabase_renew": supabase_renew.measure,
    "supabase_weight": supabase_weight.measure,
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
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # daemons and agents are ended then, too
    missed = [not asyncio.run(_make(name, wanted.rounds)) for name in wanted.names or MEASUREMENTS]
    return 1 if wanted.strict and any(missed) else 0


async def _make(name: str, rounds: int | None) -> bool:
    """Whether all goals were met."""
    reports = await MEASUREMENTS[name](rounds)
    for report in reports:
        print(table(report))
        print(f"  kept in {keep(report)}\n", flush=True)
    return all(goal.met for report in reports for goal in report.goals)


if __name__ == "__main__":
    sys.exit(main())
