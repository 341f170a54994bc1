"""Claims from ten thousand queued tasks by some claimers at once, against the cheapest request of the same client."""

from __future__ import annotations

import asyncio
import itertools
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence

from postgrest import AsyncPostgrestClient

from benchmarks.harness import WARM_UP_ROUNDS, Goal, Report, Sampler, Samples, Unit, take_turns
from benchmarks.supabase_world import BOOT, LEASE_S, SYSTEM, Queue, bare_client, queue, supabase
from ccm_orchestrator.ports.tasks import ClaimRequest

ROUNDS = 5
QUEUED = 10_000
CLAIMERS = (1, 4, 16)
BATCH = 10
CALLS = 64
"""Of one sample, by all claimers together."""
LEAST_SHARE = 0.6
FLOOR = "GET one task id"

Call = Callable[[], Awaitable[None]]


class Claims:
    """No task is given twice."""

    def __init__(self, world: Queue) -> None:
        self._world = world
        self._given: set[str] = set()

    def of(self, count: int) -> Call:
        async def claim() -> None:
            request = ClaimRequest(secrets.token_hex(16), SYSTEM, BOOT, count, LEASE_S, "supabase")
            tasks = await self._world.store.claim(request)
            ids = {task.task_id for task in tasks}
            assert len(tasks) == count, f"a claim of {count} got {len(tasks)}"
            assert len(ids) == count and not ids & self._given, "a task was given twice"
            assert all(task.fence == 1 for task in tasks), "a task was claimed twice"
            self._given |= ids

        return claim


async def measure(rounds: int | None) -> Sequence[Report]:
    with supabase() as stack:
        async with queue(stack) as world, bare_client(world.client) as bare:
            claims = Claims(world)
            calls = {FLOOR: _look(bare), "claim of 1": claims.of(1), f"claim of {BATCH}": claims.of(BATCH)}
            return [
                report for claimers in CLAIMERS for report in await _at_once(world, calls, claimers, rounds or ROUNDS)
            ]


def _look(client: AsyncPostgrestClient) -> Call:
    """With a token and row level security."""

    async def look() -> None:
        reply = await client.from_("tasks").select("task_id").limit(1).execute()
        assert len(reply.data) == 1

    return look


async def _at_once(world: Queue, calls: Mapping[str, Call], claimers: int, rounds: int) -> Sequence[Report]:
    latencies: dict[str, list[list[float]]] = {name: [] for name in calls}
    samplers = {name: _sampler(world, call, claimers, latencies[name]) for name, call in calls.items()}
    samples = await take_turns(samplers, rounds)
    who = "a claimer" if claimers == 1 else f"{claimers} claimers at once"
    batched = f"claim of {BATCH}"
    share = samples[FLOOR].median / samples[batched].median
    goal = Goal(f"{batched}: share of the floor's calls a second", share, LEAST_SHARE, at_least=True)
    notes = [f"{BATCH / samples[batched].median:,.0f} tasks a second in batches of {BATCH}, none of them given twice"]
    throughput = Report(
        f"supabase_claims_{claimers}",
        f"how many calls a second does {who} make, {QUEUED:,} tasks being queued?",
        Unit.PER_SECOND,
        samples,
        [goal],
        notes,
    )
    single = {name: Samples(tuple(itertools.chain(*taken[WARM_UP_ROUNDS:]))) for name, taken in latencies.items()}
    p99s = ", ".join(f"{name} {1000 * taken.quantile(99):.1f} ms" for name, taken in single.items())
    question = f"how long does a call take, by {who}?"
    latency = Report(f"supabase_claim_{claimers}", question, Unit.MILLISECONDS, single, notes=[f"p99: {p99s}"])
    return [throughput, latency]


def _sampler(world: Queue, call: Call, claimers: int, latencies: list[list[float]]) -> Sampler:
    """Seconds per call, when that many make one after the other."""

    async def claimer() -> list[float]:
        took = []
        for _ in range(CALLS // claimers):
            started = time.perf_counter()
            await call()
            took.append(time.perf_counter() - started)
        return took

    async def sample() -> float:
        world.fill(QUEUED)
        started = time.perf_counter()
        taken = await asyncio.gather(*(claimer() for _ in range(claimers)))
        took_s = time.perf_counter() - started
        latencies.append([latency for one in taken for latency in one])
        return took_s / CALLS

    return sample
