"""The watch for systems without inotify: looks a few times a second whether anything differs."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

from ccm_orchestrator.adapters.rundir import lock
from ccm_orchestrator.adapters.rundir.layout import EXITED, STARTED, Layout
from ccm_orchestrator.adapters.watch.pending import Pending
from ccm_orchestrator.ports.launching import Wakeup, WakeupKind

Look = frozenset[tuple[object, ...]]
"""What a directory looked like: equal looks, nothing happened."""


class PollingWatch:
    def __init__(self, state_directory: Path, interval_s: float = 0.25) -> None:
        self._layout = Layout(state_directory)
        self._interval_s = interval_s
        self._runs: dict[str, dict[WakeupKind, Look]] = {}
        self._registries: dict[Path, Look | None] = {}
        """None: not looked at yet, and whatever is there is told."""
        self._pending = Pending()
        self._tasks: dict[asyncio.AbstractEventLoop, asyncio.Task[None]] = {}

    async def start(self) -> None:
        """Belongs to the running event loop from now on; what was added before is kept."""
        self._pending = Pending()
        for seen in self._runs.values():
            seen.clear()
        self._registries = dict.fromkeys(self._registries)
        self._tasks[asyncio.get_running_loop()] = asyncio.create_task(self._poll(self._pending))

    async def stop(self) -> None:
        """Ends what the running event loop started, and nothing of a newer one."""
        task = self._tasks.pop(asyncio.get_running_loop(), None)
        if task is not None:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    def add_run(self, run_id: str) -> None:
        self._runs.setdefault(run_id, {})

    def forget_run(self, run_id: str) -> None:
        self._runs.pop(run_id, None)

    def add_registry(self, directory: Path) -> None:
        self._registries.setdefault(directory, None)

    async def wakeups(self) -> AsyncIterator[Wakeup]:
        async for wakeup in self._pending.take():
            yield wakeup

    async def _poll(self, pending: Pending) -> None:
        while pending is self._pending:
            for run_id, seen in list(self._runs.items()):
                self._look_at_run(run_id, seen)
            for directory, before in list(self._registries.items()):
                if (look := _look(directory)) != before:
                    self._registries[directory] = look
                    self._pending.add(WakeupKind.REGISTRY)
            await asyncio.sleep(self._interval_s)

    def _look_at_run(self, run_id: str, seen: dict[WakeupKind, Look]) -> None:
        directory = self._layout.run(run_id)
        files = _look(directory)
        records = frozenset(file for file in files if file[0] in (STARTED, EXITED))
        looks: dict[WakeupKind, Look] = {
            WakeupKind.SPOOL: _look(self._layout.spool(run_id)),
            WakeupKind.EXIT: records | {("held", lock.held(directory))},
            WakeupKind.STREAM: files - records,
        }
        for kind, look in looks.items():
            if seen.get(kind) != look:
                self._pending.add(kind, run_id)
        seen.update(looks)


def _look(directory: Path) -> Look:
    try:
        with os.scandir(directory) as entries:
            return frozenset(filter(None, map(_trait, entries)))
    except (FileNotFoundError, NotADirectoryError):
        return frozenset()


def _trait(entry: os.DirEntry[str]) -> tuple[object, ...] | None:
    try:
        status = entry.stat()
    except FileNotFoundError:
        return None
    return entry.name, status.st_size, status.st_mtime_ns
