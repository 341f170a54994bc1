"""A thread with an event loop of its own, which owns the connections of the store.

The daemon has several event loops (the API's, one per orchestrator), and an orchestrator may be replaced; connections
belong to one loop. So each operation travels to this one, from whatever loop it is awaited on.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from ccm_orchestrator.errors import StoreUnavailable

T = TypeVar("T")

STOP_S = 5.0
"""How long a stop waits for calls in flight to notice that they were ended."""


class StoreLoop:
    def __init__(self, name: str = "supabase") -> None:
        self._name = name
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(target=_live, args=(self._loop,), name=self._name, daemon=True)
                self._thread.start()

    def stop(self) -> None:
        """Blocks until the thread has ended; calls in flight end with StoreUnavailable."""
        with self._lock:
            loop, thread = self._loop, self._thread
            self._loop = self._thread = None
            if loop is not None:  # under the lock: whatever was submitted before runs first, and is ended
                loop.call_soon_threadsafe(loop.stop)
        if thread is not None and thread is not threading.current_thread():
            thread.join(STOP_S)

    async def run(self, make: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Awaits the coroutine on the store's loop. Cancelling the caller cancels it.

        Raises: StoreUnavailable when the loop does not run, or is stopped meanwhile.
        """
        if self._loop is asyncio.get_running_loop():
            return await make()
        try:
            return await asyncio.wrap_future(self.spawn(make))
        except asyncio.CancelledError:
            caller = asyncio.current_task()
            if caller is not None and caller.cancelling():
                raise
            raise _stopped() from None

    def spawn(self, make: Callable[[], Coroutine[Any, Any, T]]) -> concurrent.futures.Future[T]:
        """Starts the coroutine on the store's loop, from any thread. Raises: StoreUnavailable."""
        with self._lock:
            if self._loop is None:
                raise _stopped()
            return asyncio.run_coroutine_threadsafe(make(), self._loop)


def _stopped() -> StoreUnavailable:
    return StoreUnavailable("The connection to Supabase is closed, because the daemon stops.")


def _live(loop: asyncio.AbstractEventLoop) -> None:
    asyncio.set_event_loop(loop)
    try:
        loop.run_forever()
        loop.run_until_complete(_end_all())
    finally:
        loop.close()


async def _end_all() -> None:
    rest = asyncio.all_tasks() - {asyncio.current_task()}
    for task in rest:
        task.cancel()
    if rest:
        await asyncio.wait(rest, timeout=STOP_S)
