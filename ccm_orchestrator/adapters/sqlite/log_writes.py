"""Tells of writes to the database's log by whoever it is, another process included, where the kernel has inotify."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from ccm_orchestrator.adapters.watch.one_file import watched_file

LOOKS_S = (0.001, 0.003, 0.01, 0.04)
"""The kernel tells of a write before its commit can be seen, which is when the disk has it: so look that often."""


@contextmanager
def log_writes(database: Path, news: asyncio.Event) -> Iterator[bool]:
    """Inside, `news` is set a few times after a write. False: it is not, so look from time to time."""
    looks = Looks(news)
    with closing(looks), watched_file(Path(f"{database}-wal"), looks.written) as watched:
        yield watched


class Looks:
    """Sets `news` at each of `LOOKS_S` after a write, however many more writes come meanwhile."""

    def __init__(self, news: asyncio.Event) -> None:
        self._news = news
        self._timers: list[asyncio.TimerHandle] = []
        self._again = False

    def written(self) -> None:
        self._again = True
        if not self._timers:
            self._arm()

    def close(self) -> None:
        for timer in self._timers:
            timer.cancel()

    def _arm(self) -> None:
        *early, last = LOOKS_S
        self._again = False
        loop = asyncio.get_running_loop()
        self._timers = [loop.call_later(delay_s, self._news.set) for delay_s in early]
        self._timers.append(loop.call_later(last, self._last))

    def _last(self) -> None:
        """What was written meanwhile deserves looks of its own."""
        self._news.set()
        self._timers = []
        if self._again:
            self._arm()
