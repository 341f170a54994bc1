"""The last step of an event, where it may be doubled or overtaken."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from ccm_orchestrator.devstack.realtime.faults import Faults

Send = Callable[[str], None]


class Delivery:
    def __init__(self, faults: Faults) -> None:
        self._faults = faults
        self._held: list[tuple[Send, str]] = []
        self._release_later: asyncio.TimerHandle | None = None

    def send(self, send: Send, frame: str) -> None:
        for _ in range(self._faults.copies):
            self._held.append((send, frame))
        if not self._faults.reorder_s:
            self._release()
        elif self._release_later is None:
            self._release_later = asyncio.get_running_loop().call_later(self._faults.reorder_s, self._release)

    def stop(self) -> None:
        """What is held is lost."""
        self._held.clear()
        if self._release_later is not None:
            self._release_later.cancel()
        self._release_later = None

    def _release(self) -> None:
        held, self._held = self._held, []
        if self._release_later is not None:
            self._release_later.cancel()
            self._release_later = None
            held.reverse()
        for send, frame in held:
            send(frame)
