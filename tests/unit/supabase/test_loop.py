"""Operations travel to the loop that owns the connections, and come back whatever happens."""

import asyncio
import threading

import pytest

from ccm_orchestrator.adapters.supabase.loop import StoreLoop
from ccm_orchestrator.errors import StoreUnavailable


async def where() -> str:
    return threading.current_thread().name


class Patient:
    """Waits on the store's loop until it is ended."""

    def __init__(self) -> None:
        self.began = threading.Event()
        self.ended = threading.Event()

    async def wait(self) -> None:
        self.began.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.ended.set()


async def begun(patient: Patient) -> None:
    await asyncio.to_thread(patient.began.wait, 10)


async def test_an_operation_runs_on_the_loops_own_thread_from_any_loop(loop: StoreLoop) -> None:
    assert await loop.run(where) == "supabase"
    assert await asyncio.to_thread(lambda: asyncio.run(loop.run(where))) == "supabase"


async def test_an_operation_of_the_loop_itself_stays_there(loop: StoreLoop) -> None:
    assert await loop.run(lambda: loop.run(where)) == "supabase"


async def test_errors_come_back(loop: StoreLoop) -> None:
    async def fail() -> None:
        raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        await loop.run(fail)


async def test_cancelling_the_caller_cancels_inside(loop: StoreLoop) -> None:
    patient = Patient()
    caller = asyncio.create_task(loop.run(patient.wait))
    await begun(patient)
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    assert await asyncio.to_thread(patient.ended.wait, 10)


async def test_a_timeout_of_the_caller_cancels_inside(loop: StoreLoop) -> None:
    patient = Patient()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(loop.run(patient.wait), 0.05)
    assert await asyncio.to_thread(patient.ended.wait, 10)


async def test_a_stop_ends_calls_in_flight_with_an_error_of_ours(loop: StoreLoop) -> None:
    patient = Patient()
    caller = asyncio.create_task(loop.run(patient.wait))
    await begun(patient)
    await asyncio.to_thread(loop.stop)
    with pytest.raises(StoreUnavailable, match="daemon stops"):
        await asyncio.wait_for(caller, 10)
    assert patient.ended.is_set()


async def test_start_and_stop_may_come_twice_and_again(loop: StoreLoop) -> None:
    loop.start()
    for _ in range(2):
        await asyncio.to_thread(loop.stop)
    with pytest.raises(StoreUnavailable):
        await loop.run(where)
    loop.start()
    assert await loop.run(where) == "supabase"


async def test_no_call_is_forgotten_by_a_stop_that_races_with_it() -> None:
    """Each one is answered or refused, however the two threads interleave."""
    for _ in range(50):
        loop = StoreLoop()
        loop.start()
        calls = [asyncio.create_task(loop.run(where)) for _ in range(5)]
        await asyncio.sleep(0)
        stop = asyncio.create_task(asyncio.to_thread(loop.stop))
        answers = await asyncio.wait_for(asyncio.gather(*calls, return_exceptions=True), 10)
        await stop
        assert all(answer == "supabase" or isinstance(answer, StoreUnavailable) for answer in answers), answers
