"""The screens of agents, as they change. Who watches the same window shares one look at it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from dataclasses import dataclass

from ccm_orchestrator.domain.run import Run, WindowRef
from ccm_orchestrator.engine.cancelling import cancel_all
from ccm_orchestrator.engine.windows import window_of
from ccm_orchestrator.errors import TerminalError, WindowGone
from ccm_orchestrator.ports.terminal import Terminal

BUSY_S = 0.15
"""Between two looks at a window that changes."""
QUIET_S = 0.5
"""At one that has not changed for `SETTLED_S`."""
SETTLED_S = 10.0
AWAY_S = 1.0
"""When the terminal does not answer."""


@dataclass(frozen=True, slots=True)
class Seen:
    """One look. `text` is None when the terminal does not answer."""

    text: str | None
    gone: bool = False
    """The window is closed: this is the last one."""


class _Watch:
    """One window, looked at as long as it has viewers."""

    def __init__(self, terminal: Terminal, window: WindowRef, styled: bool) -> None:
        self._terminal = terminal
        self._window = window
        self._styled = styled
        self.viewers = 0
        self.seen: Seen | None = None
        self.news = asyncio.Event()
        self.looking = asyncio.create_task(self._look(), name="screen")

    async def _look(self) -> None:
        changed_at = time.monotonic()
        while self.seen is None or not self.seen.gone:
            seen = await self._capture()
            if seen != self.seen:
                changed_at, self.seen = time.monotonic(), seen
                news, self.news = self.news, asyncio.Event()
                news.set()
            if seen.text is None:
                await asyncio.sleep(AWAY_S)
            else:
                await asyncio.sleep(BUSY_S if time.monotonic() - changed_at < SETTLED_S else QUIET_S)

    async def _capture(self) -> Seen:
        try:
            return Seen(await self._terminal.capture(self._window, styled=self._styled))
        except WindowGone:
            return Seen(None, gone=True)
        except TerminalError:
            return Seen(None)


class Screens:
    def __init__(self, terminal: Terminal) -> None:
        self._terminal = terminal
        self._watches: dict[tuple[WindowRef, bool], _Watch] = {}

    async def follow(self, run: Run, styled: bool) -> AsyncGenerator[Seen, None]:
        """The screen as it is, then each time it has changed, until the window is gone. Who is slow skips some.

        Raises: WrongStatus (no window).
        """
        key = (window_of(run), styled)
        watch = self._watches.get(key)
        if watch is None or watch.looking.done():
            watch = self._watches[key] = _Watch(self._terminal, *key)
        watch.viewers += 1
        try:
            told: Seen | None = None
            while told is None or not told.gone:
                news = watch.news
                if watch.seen is None or watch.seen == told:
                    await news.wait()
                if (seen := watch.seen) is not None and seen != told:
                    told = seen
                    yield seen
        finally:
            await self._leave(key, watch)

    async def _leave(self, key: tuple[WindowRef, bool], watch: _Watch) -> None:
        watch.viewers -= 1
        if watch.viewers == 0:
            if self._watches.get(key) is watch:
                del self._watches[key]
            await cancel_all([watch.looking])
