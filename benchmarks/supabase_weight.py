"""What Supabase adds to a daemon that has nothing to do: import, memory, processor."""

from __future__ import annotations

import asyncio
import resource
import sys
from collections.abc import Sequence

from benchmarks.fleet import Fleet, cpu_percent, fleet
from benchmarks.harness import CHECKOUT, Goal, Report, Sampler, Samples, Unit, take_turns
from benchmarks.idle import megabytes
from benchmarks.supabase_world import reaches, secrets, served, supabase

ROUNDS = 3
IMPORTS = 4
STRETCH_S = 10.0
WITHOUT, WITH = "without Supabase", "with Supabase"
IMPORT = "import ccm_orchestrator.wiring.daemon"
IMPORT_BOTH = f"{IMPORT}, ccm_orchestrator.wiring.remote"


async def measure(rounds: int | None) -> Sequence[Report]:
    imports = {WITHOUT: _python(IMPORT), WITH: _python(IMPORT_BOTH)}
    imported = await take_turns(imports, rounds or IMPORTS)
    with supabase() as stack:
        async with fleet(10) as alone, fleet(10, served(stack), secrets(stack)) as world:
            await reaches(world, "live")
            processor = await _processor(alone, world, rounds or ROUNDS)
            resident = {WITHOUT: alone, WITH: world}
            memory = {name: Samples((megabytes(one.daemon)[0],)) for name, one in resident.items()}
    return [_imported(imported), *_idle(processor, memory)]


def _imported(samples: dict[str, Samples]) -> Report:
    more_ms = 1000 * (samples[WITH].median - samples[WITHOUT].median)
    question = "how much processor time does the import of the daemon's modules take?"
    notes = [f"with Supabase {more_ms:.0f} ms more"]
    return Report("supabase_import", question, Unit.MILLISECONDS, samples, notes=notes)


def _idle(processor: dict[str, Samples], memory: dict[str, Samples]) -> Sequence[Report]:
    return [
        Report(
            "supabase_idle_cpu",
            "what does an idle daemon take of a core, with Realtime live?",
            Unit.PERCENT,
            processor,
            [Goal("of a core, with Supabase", processor[WITH].median, 0.5)],
        ),
        Report(
            "supabase_idle_memory",
            "how large is an idle daemon?",
            Unit.MEGABYTES,
            memory,
            [Goal("MB resident, with Supabase", memory[WITH].median, 90)],
        ),
    ]


def _python(statement: str) -> Sampler:
    """Processor time, which other work on the machine changes less."""

    async def sample() -> float:
        before_s = _children_s()
        process = await asyncio.create_subprocess_exec(sys.executable, "-c", statement, cwd=CHECKOUT)
        assert await process.wait() == 0
        return _children_s() - before_s

    return sample


def _children_s() -> float:
    """Processor time of processes that we started and that ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


async def _processor(alone: Fleet, world: Fleet, rounds: int) -> dict[str, Samples]:
    """Both over the same stretches of time."""
    taken = []
    for number in range(-1, rounds):
        both = (cpu_percent(STRETCH_S, alone.daemon), cpu_percent(STRETCH_S, world.daemon))
        stretch = await asyncio.gather(*both)
        if number >= 0:
            taken.append(stretch)
    without, served_too = zip(*taken, strict=True)
    return {WITHOUT: Samples(tuple(without)), WITH: Samples(tuple(served_too))}
