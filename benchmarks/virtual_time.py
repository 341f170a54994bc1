"""An event loop whose clock jumps to the next timer when there is nothing to do: a day passes in minutes.

What takes real time (threads, sockets of this process) takes no virtual time: the clock stands still meanwhile.
"""

from __future__ import annotations

import asyncio
import contextlib
import selectors
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

SOCKET_S = 0.05
"""Real seconds that a held loop waits for a socket, before it takes it that a timer is what must come next."""

TURN_S = 1e-6
"""Virtual seconds that a turn takes: whoever sleeps for what a float lost would else sleep for ever."""


class VirtualLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self.selector = _JumpingSelector()
        super().__init__(self.selector)

    def time(self) -> float:
        return self.selector.now_s

    def run_in_executor(  # type: ignore[override]  # typed as a method in one stub and as a coroutine in another
        self, executor: Any, func: Callable[..., Any], *args: Any
    ) -> asyncio.Future[Any]:
        return self.wait_for_thread(super().run_in_executor(executor, func, *args))

    def wait_for_thread(self, future: asyncio.Future[Any]) -> asyncio.Future[Any]:
        """The clock stands still until a thread has settled it."""
        self.selector.threads += 1
        future.add_done_callback(self._thread_is_done)
        return future

    def _thread_is_done(self, _future: asyncio.Future[Any]) -> None:
        self.selector.threads -= 1

    @contextlib.contextmanager
    def talking(self) -> Iterator[None]:
        """Inside, sockets get real time for what they carry before the clock jumps."""
        self.selector.talks += 1
        try:
            yield
        finally:
            self.selector.talks -= 1


class VirtualClock:
    """`Clock` of whatever lives on the loop; the day begins now."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop
        self._start = datetime.now(UTC)

    def now(self) -> datetime:
        return self._start + timedelta(seconds=self._loop.time())

    def uptime_s(self) -> float:
        return self._loop.time()


class _JumpingSelector(selectors.DefaultSelector):
    def __init__(self) -> None:
        super().__init__()
        self.now_s = 0.0
        self.threads = 0
        self.talks = 0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self.now_s += TURN_S
        if timeout is None or self.threads:
            return super().select(None if timeout != 0 else 0)
        ready = super().select(SOCKET_S if self.talks and timeout > 0 else 0)
        if not ready and timeout > 0:
            self.now_s += timeout
        return ready
