"""From a task's row to its agent's process: claim, journal, ticket, files, window and launcher, with a real daemon."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Sequence

import httpx

from benchmarks.fleet import Fleet, fleet
from benchmarks.harness import Goal, Report, Sampler, Unit, take_turns

ROUNDS = 25
CROWD = 50
CROWD_ROUNDS = 4
PHASE_S = 0.25
"""A row arrives at any moment of whatever the daemon does periodically."""

Starter = Callable[[], Awaitable[object]]


async def measure(rounds: int | None) -> Sequence[Report]:
    async with fleet(max_agents=CROWD) as world, world.api() as client:
        return [
            await _one(world, client, rounds or ROUNDS),
            await _crowd(world, min(rounds or CROWD_ROUNDS, CROWD_ROUNDS)),
        ]


async def _one(world: Fleet, client: httpx.AsyncClient, rounds: int) -> Report:
    async def insert() -> None:
        world.insert("waits")

    async def post() -> None:
        task = {"project": "sample", "prompt": "Wait.", "profile": "waits"}
        (await client.post("/api/tasks", json=task)).raise_for_status()

    samples = await take_turns(
        {
            "bare tmux new-window": _sampler(world, world.bare_window, 1),
            "row by plain SQL": _sampler(world, insert, 1),
            "POST /api/tasks": _sampler(world, post, 1),
        },
        rounds,
    )
    question = "how long from a task's row until its agent's process runs?"
    report = Report("row_to_agent", question, Unit.MILLISECONDS, samples)
    goals = [
        goal
        for name in list(samples)[1:]
        for goal in (
            Goal(f"{name}: median, times a bare new-window", report.ratio(name), 3),
            Goal(f"{name}: p95, times a bare new-window", report.p95_ratio(name), 6),
        )
    ]
    return Report(report.name, question, report.unit, samples, goals)


async def _crowd(world: Fleet, rounds: int) -> Report:
    async def windows() -> None:
        for _ in range(CROWD):
            await world.bare_window()

    async def windows_at_once() -> None:
        await asyncio.gather(*(world.bare_window() for _ in range(CROWD)))

    async def rows() -> None:
        world.insert("waits", CROWD)

    samples = await take_turns(
        {
            f"{CROWD} bare new-windows": _sampler(world, windows, CROWD),
            f"{CROWD} bare new-windows at once": _sampler(world, windows_at_once, CROWD),
            f"{CROWD} rows": _sampler(world, rows, CROWD),
        },
        rounds,
    )
    question = f"how long until {CROWD} agents run?"
    report = Report("row_to_agent_crowd", question, Unit.MILLISECONDS, samples)
    goal = Goal("median, times bare new-windows", report.ratio(f"{CROWD} rows"), 2)
    return Report(report.name, question, report.unit, samples, [goal])


def _sampler(world: Fleet, start: Starter, count: int) -> Sampler:
    """Seconds until the last of `count` processes runs."""

    async def sample() -> float:
        await asyncio.sleep(random.uniform(0, PHASE_S))
        arrived = asyncio.ensure_future(world.started(count))
        await asyncio.sleep(0)
        started = time.perf_counter()
        await start()
        took_s = await arrived - started
        await world.end()
        return took_s

    return sample
