"""Ending coroutines for certain."""

from __future__ import annotations

import asyncio
from collections.abc import Collection

INSIST_S = 0.5


async def cancel_all(tasks: Collection[asyncio.Task[object]]) -> None:
    """Returns when every task has ended; their results and errors are dropped.

    A task is cancelled again until it is over: before Python 3.12, `asyncio.wait_for` swallows a cancellation that
    comes in the same turn of the loop as what it waits for, and the task would go on for ever.
    """
    pending = {task for task in tasks if not task.done()}
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=INSIST_S)
    await asyncio.gather(*tasks, return_exceptions=True)
