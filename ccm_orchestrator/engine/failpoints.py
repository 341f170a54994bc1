"""Named places at which a crash is interesting.

Fault tests set `CCM_CRASH_AT` to one of them and the daemon dies there by SIGKILL, as it would at 3 a.m. Elsewhere the
null object is wired and reaching a point does nothing.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
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


def reach_nothing(_name: str) -> None:
    """The null object."""


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
