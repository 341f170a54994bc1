"""Waiting for something that is stored to come to a certain state."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from ccm_orchestrator.engine.bus import Bus

BEAT_S = 5.0
"""Longest time for which a change that nobody told goes unseen."""
T = TypeVar("T")


async def awaited(bus: Bus, look: Callable[[], Awaitable[T]], done: Callable[[T], bool], timeout_s: float) -> T:
    """What `look` gives as soon as it is `done`, or else at the timeout. It is looked at when something happened."""
    try:
        async with asyncio.timeout(timeout_s):
            while True:
                news = asyncio.ensure_future(bus.wait(BEAT_S))
                try:
                    await asyncio.sleep(0)  # registered before the look: nothing can fall between the two
                    current = await look()
                    if done(current):
                        return current
                    await news
                finally:
                    news.cancel()
    except TimeoutError:
        return await look()
