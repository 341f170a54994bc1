"""Whether the queue may have changed: hints of Realtime, writes of this process, and the time since the last look."""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections.abc import Callable
from contextlib import suppress

from ccm_orchestrator.adapters.doorbell import Doorbell

SWEEP_LIVE_S = 20.0
SWEEP_DEGRADED_S = 3.0
JITTER = 0.2


class Changes:
    """Told and asked from any thread and any event loop."""

    def __init__(
        self,
        sweep_live_s: float = SWEEP_LIVE_S,
        sweep_degraded_s: float = SWEEP_DEGRADED_S,
        uptime_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._sweep_s = {True: sweep_live_s, False: sweep_degraded_s}
        self._uptime_s = uptime_s
        self._lock = threading.Lock()
        self._doorbell = Doorbell()
        self._live = False
        self._happened = 0
        self._seen = 0
        self._looked_at_s = uptime_s()
        self._stretch = 1.0

    def happened(self) -> None:
        with self._lock:
            self._happened += 1
        self._doorbell.ring()

    def set_live(self, live: bool) -> None:
        """Whether hints can be relied on to come, most of the time."""
        with self._lock:
            self._live = live
        self._doorbell.ring()  # who waits now waits for another time

    def before_look(self) -> int:
        """What a look at the queue that begins now will have seen."""
        with self._lock:
            return self._happened

    def looked(self, seen: int) -> None:
        """A look at the queue was answered. `seen` comes from `before_look`."""
        with self._lock:
            self._seen = max(self._seen, seen)
            self._look_again_later()

    async def wait(self, timeout_s: float) -> bool:
        deadline_s = self._uptime_s() + timeout_s
        with self._doorbell.listening() as news:
            while True:
                news.clear()  # before the look, so that nothing falls between the two
                if self._take():
                    return True
                left_s = deadline_s - self._uptime_s()
                if left_s <= 0:
                    return False
                with suppress(TimeoutError):
                    await asyncio.wait_for(news.wait(), min(left_s, self._sweep_in_s()))

    def _take(self) -> bool:
        with self._lock:
            if self._happened == self._seen and self._uptime_s() < self._sweep_at_s():
                return False
            self._seen = self._happened
            self._look_again_later()
            return True

    def _sweep_in_s(self) -> float:
        with self._lock:
            return max(self._sweep_at_s() - self._uptime_s(), 0.0)

    def _sweep_at_s(self) -> float:
        return self._looked_at_s + self._sweep_s[self._live] * self._stretch

    def _look_again_later(self) -> None:
        """Not all machines at the same time."""
        self._looked_at_s = self._uptime_s()
        self._stretch = 1.0 + random.uniform(-JITTER, JITTER)
