"""From a row in Supabase to its agent's process, with Realtime and without it, by a real daemon."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

import psycopg
from realtime import AsyncRealtimeClient, RealtimePostgresChangesListenEvent

from benchmarks.fleet import LIMIT_S, Fleet, fleet
from benchmarks.harness import Goal, Report, Sampler, Samples, Unit, take_turns
from benchmarks.spawn import Place
from benchmarks.supabase_world import reaches, secrets, served, supabase
from ccm_orchestrator.adapters.supabase.changes import JITTER, SWEEP_DEGRADED_S
from ccm_orchestrator.devstack.stack import LocalSupabase

ROUNDS = 15
SWEEPS = 10
PHASE_S = 0.25
"""A row arrives at any moment of whatever is done periodically."""
NOBODY = "nobody"
"""A system that has no daemon."""
CALLBACK, SPAWN = "callback of a bare client", "window and launcher alone"
LOCAL, LIVE, DEAD = "row in the local queue", "row in Supabase", "row in Supabase, Realtime dead"
TIMES = 1.5
_INSERT = "insert into public.tasks (project, prompt, profile, system_id) values ('sample', 'Wait.', 'waits', %s)"
_OPEN = "select count(*) from public.tasks where status not in ('succeeded', 'failed', 'cancelled')"


async def measure(rounds: int | None) -> Sequence[Report]:
    with supabase() as stack, psycopg.connect(stack.owner_url, autocommit=True) as owner:
        config, environment = served(stack), secrets(stack)
        async with fleet(10, config, environment) as world, _spawn() as spawn, _callback(stack, owner) as told:
            await reaches(world, "live")
            live = await take_turns(
                {CALLBACK: told, SPAWN: spawn, LOCAL: _local(world), LIVE: _remote(world, owner, PHASE_S)},
                rounds or ROUNDS,
            )
            await _kill_realtime(world, stack)
            longest_s = SWEEP_DEGRADED_S * (1 + JITTER)
            dead = await take_turns({DEAD: _remote(world, owner, longest_s)}, rounds or SWEEPS)
    return [_with_realtime(live), _without(dead, longest_s)]


def _with_realtime(samples: dict[str, Samples]) -> Report:
    limit_s = TIMES * samples[CALLBACK].p95 + samples[SPAWN].p95
    text = f"{LIVE}: p95, ms, against {TIMES} times the callback's plus window and launcher"
    goal = Goal(text, 1000 * samples[LIVE].p95, round(1000 * limit_s, 1))
    question = "how long from a row in Supabase until its agent's process runs?"
    notes = ["the stand-in for Realtime looks at the database every 50 ms; a hosted one that idles, every 500 ms"]
    return Report("supabase_latency", question, Unit.MILLISECONDS, samples, [goal], notes)


def _without(samples: dict[str, Samples], longest_s: float) -> Report:
    goal = Goal("s, p95, against the longest time between two looks at the queue", samples[DEAD].p95, longest_s)
    question = "the same when Realtime refuses every connection?"
    return Report("supabase_latency_dead", question, Unit.MILLISECONDS, samples, [goal])


# --- contenders ---


@contextlib.asynccontextmanager
async def _callback(stack: LocalSupabase, owner: psycopg.Connection) -> AsyncIterator[Sampler]:
    """Seconds until a client of the library, and nothing around it, is called for a row."""
    ready, calls = asyncio.Event(), asyncio.Queue[float]()
    client = AsyncRealtimeClient(f"{stack.url}/realtime/v1", stack.anon_key, auto_reconnect=False)
    await client.set_auth(stack.token(sub=str(uuid.uuid4()), system_id=NOBODY))
    channel = client.channel("bare")
    channel.on_system(lambda _: ready.set())
    channel.on_postgres_changes(
        RealtimePostgresChangesListenEvent.Insert,
        lambda _: calls.put_nowait(time.perf_counter()),
        "tasks",
        "public",
        f"system_id=eq.{NOBODY}",
    )
    await client.connect()
    await channel.subscribe()
    await asyncio.wait_for(ready.wait(), LIMIT_S)

    async def sample() -> float:
        await asyncio.sleep(random.uniform(0, PHASE_S))
        started = time.perf_counter()
        owner.execute(_INSERT, [NOBODY])
        took_s = await asyncio.wait_for(calls.get(), LIMIT_S) - started
        owner.execute("delete from public.tasks where system_id = %s", [NOBODY])
        return took_s

    try:
        yield sample
    finally:
        await client.close()


@contextlib.asynccontextmanager
async def _spawn() -> AsyncIterator[Sampler]:
    place = Place()
    try:
        await place.terminal.start()
        yield place.sampler(place.our_launcher)
    finally:
        await place.close()


def _local(world: Fleet) -> Sampler:
    return _sampler(world, lambda: world.insert("waits"), world.end, PHASE_S)


def _remote(world: Fleet, owner: psycopg.Connection, phase_s: float) -> Sampler:
    def over() -> bool:
        world.let_go()
        return owner.execute(_OPEN).fetchone() == (0,)

    async def end() -> None:
        await world.until(over)

    return _sampler(world, lambda: owner.execute(_INSERT, [world.sandbox.system_id]), end, phase_s)


def _sampler(world: Fleet, insert: Callable[[], object], end: Callable[[], Awaitable[None]], phase_s: float) -> Sampler:
    """Seconds until the row's agent says that it runs."""

    async def sample() -> float:
        await asyncio.sleep(random.uniform(0, phase_s))
        arrived = asyncio.ensure_future(world.started())
        await asyncio.sleep(0)
        started = time.perf_counter()
        insert()
        took_s = await arrived - started
        await end()
        return took_s

    return sample


async def _kill_realtime(world: Fleet, stack: LocalSupabase) -> None:
    stack.realtime.faults.handshake_error = (503, "Service Unavailable")
    stack.on_loop(stack.realtime.abort_sockets())
    await reaches(world, "degraded")
