"""A watch that tells what the test says."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

from ccm_orchestrator.ports.launching import Wakeup, WakeupKind


class FakeWatch:
    def __init__(self) -> None:
        self.runs: set[str] = set()
        self.registries: set[Path] = set()
        self._waiting: dict[Wakeup, None] = {}
        self._news = asyncio.Event()

    def wake(self, kind: WakeupKind, run_id: str | None = None) -> None:
        """Something of the run changed. Runs that nobody added stay silent."""
        if run_id is None or run_id in self.runs:
            self._waiting[Wakeup(kind, run_id)] = None
            self._news.set()

    async def start(self) -> None:
        self._news = asyncio.Event()
        if self._waiting:
            self._news.set()

    async def stop(self) -> None:
        self._waiting.clear()

    def add_run(self, run_id: str) -> None:
        """Like the real one, it tells at once what may have happened before."""
        if run_id not in self.runs:
            self.runs.add(run_id)
            for kind in (WakeupKind.SPOOL, WakeupKind.EXIT, WakeupKind.STREAM):
                self.wake(kind, run_id)

    def forget_run(self, run_id: str) -> None:
        self.runs.discard(run_id)

    def add_registry(self, directory: Path) -> None:
        if directory not in self.registries:
            self.registries.add(directory)
            self.wake(WakeupKind.REGISTRY)

    async def wakeups(self) -> AsyncIterator[Wakeup]:
        while True:
            await self._news.wait()
            while self._waiting:
                wakeup = next(iter(self._waiting))
                del self._waiting[wakeup]
                yield wakeup
            self._news.clear()
