"""How late an event loop wakes up: what everything on it waits for besides its own work."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

LOOK_S = 2.0


async def watch_loop_lag(observe: Callable[[float], None], look_s: float = LOOK_S) -> None:
    """For ever."""
    while True:
        asked_at = time.perf_counter()
        await asyncio.sleep(look_s)
        observe(max(0.0, time.perf_counter() - asked_at - look_s))
