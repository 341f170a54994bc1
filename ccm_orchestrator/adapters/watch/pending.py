"""Wake-ups that wait for their reader, each once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from ccm_orchestrator.ports.launching import Wakeup, WakeupKind


class Pending:
    """Belongs to one event loop."""

    def __init__(self) -> None:
        self._waiting: dict[Wakeup, None] = {}
        self._news = asyncio.Event()
        self._failure: BaseException | None = None

    def fail(self, error: BaseException) -> None:
        """Nothing will come any more: whoever takes is told so."""
        self._failure = error
        self._news.set()

    def add(self, kind: WakeupKind, run_id: str | None = None, name: str | None = None) -> None:
        self._waiting[Wakeup(kind, run_id, name)] = None
        self._news.set()

    async def take(self) -> AsyncIterator[Wakeup]:
        """Endless, oldest first. Raises: what `fail` was told."""
        while True:
            await self._news.wait()
            if self._failure is not None:
                raise self._failure
            while self._waiting:
                wakeup = next(iter(self._waiting))
                del self._waiting[wakeup]
                yield wakeup
            self._news.clear()
