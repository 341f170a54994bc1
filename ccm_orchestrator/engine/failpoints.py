"""Named places at which a crash is interesting.

Fault tests set `CCM_CRASH_AT` to one of them and the daemon dies there by SIGKILL, as it would at 3 a.m.; or
`CCM_FAULTS__HANG_AT` to one of them, or to the name of a loop, which hangs there. Elsewhere the null object is wired
and reaching a point does nothing.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

CLAIM_REMEMBERED = "claim.remembered"
CLAIM_ANSWERED = "claim.answered"
SPAWN_INTENDED = "spawn.intended"
SPAWN_PREPARED = "spawn.prepared"
SPAWN_OPENED = "spawn.opened"
SPAWN_LAUNCHED = "spawn.launched"
RUN_BEGUN = "run.begun"
RUN_INGESTED = "run.ingested"
RUN_DISCARDED = "run.discarded"
RUN_COMPLETE = "run.complete"
FINISH_STOPPED = "finish.stopped"
FINISH_RECORDED = "finish.recorded"
FINISH_ENDED = "finish.ended"

FAIL_POINTS = (
    CLAIM_REMEMBERED,
    CLAIM_ANSWERED,
    SPAWN_INTENDED,
    SPAWN_PREPARED,
    SPAWN_OPENED,
    SPAWN_LAUNCHED,
    RUN_BEGUN,
    RUN_INGESTED,
    RUN_DISCARDED,
    RUN_COMPLETE,
    FINISH_STOPPED,
    FINISH_RECORDED,
    FINISH_ENDED,
)
"""In the order in which a run reaches them."""

Reach = Callable[[str], None]
Stall = Callable[[str], Awaitable[None]]
"""Called with the name of a loop at each of its turns; the loop goes on when it returns."""
STALL_LOOK_S = 0.05


def reach_nothing(_name: str) -> None:
    """The null object."""


async def stall_nowhere(_name: str) -> None:
    """The null object."""


def stall_at(name: str, until: Path) -> Stall:
    """Stops the loop `name`, once and alone, as an answer that never comes would, until the file `until` exists."""
    armed = [name]

    async def stall(turning: str) -> None:
        if armed and turning == name:
            armed.clear()
            while not until.exists():  # noqa: ASYNC110 - a file rings no bell
                await asyncio.sleep(STALL_LOOK_S)

    return stall


def hang_at(name: str, until: Path) -> Reach:
    """Blocks the thread that reaches `name` first, as a deadlock would, until the file `until` exists."""
    armed = [name]

    def reach(reached: str) -> None:
        if armed and reached == name:
            armed.clear()
            while not until.exists():
                time.sleep(0.05)

    return reach


def crash_at(name: str) -> Reach:
    """Kills this process by SIGKILL when `name` is reached. Raises: ValueError for a name that no code reaches."""
    if name not in FAIL_POINTS:
        raise ValueError(f"expected CCM_CRASH_AT to be one of {', '.join(FAIL_POINTS)}, got: {name}")

    def reach(reached: str) -> None:
        if reached == name:
            os.kill(os.getpid(), signal.SIGKILL)

    return reach
