"""Waiting for something that is stored to come to a certain state."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from ccm_orchestrator.engine.bus import Bus

BEAT_S = 2.0
"""Longest time for which a change that nobody told goes unseen, such as one by another machine."""
PAUSE_S = 0.02
"""Between two looks, however much happens."""
T = TypeVar("T")


async def awaited(
    bus: Bus,
    look: Callable[[], Awaitable[T]],
    done: Callable[[T], bool],
    timeout_s: float,
    stopping: asyncio.Event | None = None,
) -> T:
    """What `look` gives as soon as it is `done`; as it is at the timeout, or when `stopping` is set."""
    stopped: asyncio.Future[Any] = asyncio.ensure_future((stopping or asyncio.Event()).wait())
    try:
        async with asyncio.timeout(timeout_s):
            while True:
                news: asyncio.Future[Any] = asyncio.ensure_future(bus.wait(BEAT_S))
                try:
                    await asyncio.sleep(0)  # registered before the look: nothing can fall between the two
                    current = await look()
                    if done(current) or stopped.done():
                        return current
                    await asyncio.wait({news, stopped}, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    news.cancel()
                await asyncio.sleep(PAUSE_S)
    except TimeoutError:
        return await look()
    finally:
        stopped.cancel()
