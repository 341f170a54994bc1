"""The two threads of a stack: one that starts and ends its processes, one with the event loop of its gateway."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ParamSpec, TypeVar

T = TypeVar("T")
P = ParamSpec("P")


class Hands:
    """Does one thing at a time, for callers of any thread. Processes are bonded to this thread, so it lives on."""

    def __init__(self) -> None:
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="devstack-hands")

    def do(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        return self._executor.submit(work, *args, **kwargs).result()

    def close(self) -> None:
        self._executor.shutdown()


class LoopThread:
    """An event loop that callers of other threads may run coroutines on."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="devstack-loop", daemon=True)
        self._thread.start()

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()

    def call(self, work: Callable[[], object]) -> None:
        """Returns when it is done."""

        async def on_loop() -> None:
            work()

        self.run(on_loop())

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
