"""Coroutines that are to end do end."""

import asyncio

from ccm_orchestrator.engine import cancelling
from ccm_orchestrator.engine.cancelling import cancel_all


async def test_a_task_that_swallows_a_cancellation_is_cancelled_again() -> None:
    swallowed = 0

    async def stubborn() -> None:
        nonlocal swallowed
        while True:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                swallowed += 1
                if swallowed == 3:
                    raise

    tasks: list[asyncio.Task[object]] = [asyncio.create_task(stubborn())]
    await asyncio.sleep(0)
    await asyncio.wait_for(cancel_all(tasks), 10 * cancelling.INSIST_S)
    assert (tasks[0].cancelled(), swallowed) == (True, 3)


async def test_errors_of_ended_tasks_are_dropped_and_nothing_to_end_is_fine() -> None:
    async def fails() -> None:
        raise ValueError("gone wrong")

    tasks: list[asyncio.Task[object]] = [asyncio.create_task(fails())]
    await asyncio.sleep(0)
    await cancel_all(tasks)
    await cancel_all([])
    assert isinstance(tasks[0].exception(), ValueError)
