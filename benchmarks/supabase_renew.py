"""What it costs to keep the leases of a hundred runs, against a call of a function that does nothing."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence

import psycopg
from postgrest import AsyncPostgrestClient

from benchmarks.harness import Goal, Report, Sampler, Unit, take_turns
from benchmarks.supabase_world import BOOT, LEASE_S, SYSTEM, Queue, bare_client, queue, supabase
from ccm_orchestrator.domain.task import LeaseKey
from ccm_orchestrator.ports.tasks import ClaimRequest, LeaseAnswer

ROUNDS = 25
RUNS = 100
CALLS = 10
"""Of one sample, one after the other."""
NOTHING = """
create function public.nothing() returns jsonb language sql as $$ select '{}'::jsonb $$;
grant execute on function public.nothing to authenticated;
"""

Call = Callable[[], Awaitable[None]]


async def measure(rounds: int | None) -> Sequence[Report]:
    with supabase() as stack:
        async with queue(stack) as world, bare_client(world.client) as bare:
            world.owner.execute(NOTHING)
            stack.reload_schema()
            world.fill(RUNS)
            request = ClaimRequest("renewed", SYSTEM, BOOT, RUNS, LEASE_S, "supabase")
            keys = [task.key for task in await world.store.claim(request)]
            return [await _measure(world, bare, keys, rounds or ROUNDS)]


async def _measure(world: Queue, bare: AsyncPostgrestClient, keys: Sequence[LeaseKey], rounds: int) -> Report:
    renewals: list[int] = []
    all_runs = f"renewal of {len(keys)} runs"
    before, asked = _versions(world.owner), world.client.asked
    samples = await take_turns(
        {
            "function that does nothing": _sampler(_nothing(bare)),
            "renewal of 1 run": _sampler(_renewal(world, keys[:1], renewals)),
            all_runs: _sampler(_renewal(world, keys, renewals)),
        },
        rounds,
    )
    asked, touched = world.client.asked - asked, before ^ _versions(world.owner)
    goals = [
        Goal("calls per renewal", asked / len(renewals), 1),
        Goal("rows of the published table that were written", len(touched), 0),
    ]
    per_run = 1e6 * (samples[all_runs].median - samples["renewal of 1 run"].median) / (len(keys) - 1)
    notes = [f"{per_run:.0f} µs for each further run", f"{len(renewals)} renewals were made"]
    question = "what does it cost to keep the leases of all runs?"
    return Report("supabase_renew", question, Unit.MILLISECONDS, samples, goals, notes)


def _versions(owner: psycopg.Connection) -> set[tuple[object, ...]]:
    """Of each row of `tasks`: any write would make another one."""
    return set(owner.execute("select task_id, xmin::text, ctid::text, updated_at from public.tasks").fetchall())


def _nothing(bare: AsyncPostgrestClient) -> Call:
    async def call() -> None:
        assert (await bare.rpc("nothing", {}).execute()).data == {}

    return call


def _renewal(world: Queue, keys: Sequence[LeaseKey], renewals: list[int]) -> Call:
    async def call() -> None:
        answers = await world.store.renew(SYSTEM, BOOT, keys, LEASE_S)
        assert set(answers.values()) == {LeaseAnswer.OK}
        renewals.append(len(answers))

    return call


def _sampler(call: Call) -> Sampler:
    """Seconds per call."""

    async def sample() -> float:
        started = time.perf_counter()
        for _ in range(CALLS):
            await call()
        return (time.perf_counter() - started) / CALLS

    return sample
