"""Runs many probes at once, none of which can hold up the others: a hung disk or a hung tmux is a finding as well."""

from __future__ import annotations

import asyncio
import inspect
import sqlite3
import threading
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from pathlib import Path

from ccm_orchestrator.errors import OrchestratorError
from ccm_orchestrator.settings import Settings
from ccm_orchestrator.setup.check import Check, Verdict

Found = Check | Iterable[Check]
EXPECTED = (OrchestratorError, OSError, ValueError, sqlite3.Error)
"""What may go wrong with what is examined; everything else is a fault of ours."""


@dataclass(frozen=True, slots=True)
class Place:
    """What is examined."""

    settings: Settings
    environment: Mapping[str, str]
    config: Path
    """The configuration file; it need not exist."""
    given: Path | None = None
    """The same, where it is not the usual one."""


@dataclass(frozen=True, slots=True)
class Probe:
    name: str
    """What `--only` calls it."""
    group: str
    about: str
    """One line for people: what is looked at."""
    look: Callable[[Place], Found | Awaitable[Found]]
    deadline_s: float = 10.0


async def run_probes(probes: Sequence[Probe], place: Place) -> list[Check]:
    """In the order of the probes, whichever answered first."""
    found = await asyncio.gather(*(_in_time(probe, place) for probe in probes))
    return [replace(check, group=probe.group) for probe, checks in zip(probes, found, strict=True) for check in checks]


async def _in_time(probe: Probe, place: Place) -> list[Check]:
    """On a thread that nobody has to wait for, not even the end of the program."""
    future: Future[list[Check]] = Future()
    threading.Thread(target=_work, args=(probe, place, future), name=probe.name, daemon=True).start()
    try:
        return await asyncio.wait_for(asyncio.wrap_future(future), probe.deadline_s)
    except TimeoutError:
        found = f"no answer within {probe.deadline_s:g} s"
    except EXPECTED as error:
        found = f"cannot be examined: {error}"
    why = "What hangs or fails here hangs or fails for the daemon, too."
    return [Check(probe.name, Verdict.FAIL, found, why, f"Look at what it examines: {probe.about}")]


def _work(probe: Probe, place: Place, future: Future[list[Check]]) -> None:
    try:
        looked = probe.look(place)
        found = asyncio.run(_awaited(looked)) if inspect.isawaitable(looked) else looked
        result = [found] if isinstance(found, Check) else list(found)
    except EXPECTED as error:
        _tell(future, error)
    else:
        if future.set_running_or_notify_cancel():
            future.set_result(result)
    finally:
        _tell(future, RuntimeError(f"the probe {probe.name} is broken; what happened is above"))


def _tell(future: Future[list[Check]], error: Exception) -> None:
    """Nothing when nobody waits any more, or it is known already."""
    if not future.done() and future.set_running_or_notify_cancel():
        future.set_exception(error)


async def _awaited(found: Awaitable[Found]) -> Found:
    return await found
