"""A killed daemon is started again while its agents are at work: how long until it has them all back?"""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from benchmarks.fleet import Fleet, fleet
from benchmarks.harness import Goal, Report, Sampler, Unit, take_turns
from ccm_orchestrator.adapters.rundir import lock

ROUNDS = 5
AGENTS = 100
STARTS = "SELECT at, json_extract(data, '$.adopted') FROM events WHERE kind = 'daemon.started' ORDER BY seq"


async def measure(rounds: int | None) -> Sequence[Report]:
    async with fleet(AGENTS) as world, fleet(AGENTS) as empty:
        await world.add("waits", AGENTS)
        world.sandbox.stop_daemon()
        world.age()
        samples = await take_turns(
            {
                "windows listed and locks tried": _look(world),
                "start, nothing to adopt": _restart(empty, 0),
                f"start, {AGENTS} agents adopted": _restart(world, AGENTS),
            },
            rounds or ROUNDS,
        )
    ours, without = samples[f"start, {AGENTS} agents adopted"], samples["start, nothing to adopt"]
    goals = [
        Goal("s from the start of the process until it has adopted them", ours.median, 2),
        Goal("s of these that adopting takes", ours.median - without.median, 2),
    ]
    question = f"how long until a restarted daemon has its {AGENTS} agents back?"
    return [Report("adoption", question, Unit.MILLISECONDS, samples, goals)]


def _look(world: Fleet) -> Sampler:
    """What cannot be done without, by the shortest means."""

    async def sample() -> float:
        started = time.perf_counter()
        listed = await world.tmux("list-windows", "-a", "-F", "#{window_id} #{@ccm_run}")
        runs = [run for _, _, run in (line.partition(" ") for line in listed.splitlines()) if run]
        held = [run for run in runs if lock.held(Path(world.sandbox.state, "runs", run))]
        took_s = time.perf_counter() - started
        assert len(held) == AGENTS, f"only {len(held)} agents are left"
        return took_s

    return sample


def _restart(world: Fleet, agents: int) -> Sampler:
    async def sample() -> float:
        world.sandbox.kill_daemon()
        starts = len(world.sandbox.query(STARTS))
        started_s = time.time()
        world.sandbox.start_daemon(wait=False)
        await world.until(lambda: len(world.sandbox.query(STARTS)) > starts)
        at, adopted = world.sandbox.query(STARTS)[-1]
        assert adopted == agents, f"{adopted} agents were adopted"
        return datetime.fromisoformat(str(at)).timestamp() - started_s

    return sample
