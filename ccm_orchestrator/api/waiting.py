"""An answer that waits until a task is settled, so that a client need not ask again and again."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from ccm_orchestrator.api.services import ApiServices
from ccm_orchestrator.domain.task import Task, is_settled

LOOK_S = 2.0
"""Also without an event: what another machine does is told by none."""
PAUSE_S = 0.02
"""Between two looks, however much happens."""


async def settled(services: ApiServices, look: Callable[[], Awaitable[Task]], wait_s: float) -> Task:
    """The task as soon as it is settled; as it is when the time has run out, or the server stops."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + wait_s
    while True:
        woken = asyncio.ensure_future(services.bus.wait(LOOK_S))
        await asyncio.sleep(0)  # registered before the look: nothing can fall between the two
        try:
            task = await look()
            left_s = deadline - loop.time()
            if is_settled(task.status, task.hold) or left_s <= 0 or services.stopping.is_set():
                return task
            await _first_of(woken, services.stopping, min(left_s, LOOK_S))
        finally:
            woken.cancel()
        await asyncio.sleep(min(PAUSE_S, max(deadline - loop.time(), 0)))


async def _first_of(woken: asyncio.Future[Any], stopping: asyncio.Event, timeout_s: float) -> None:
    stopped: asyncio.Future[Any] = asyncio.ensure_future(stopping.wait())
    try:
        await asyncio.wait({woken, stopped}, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
    finally:
        stopped.cancel()
