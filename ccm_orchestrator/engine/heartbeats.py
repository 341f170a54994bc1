"""Proof of progress: every loop that the daemon lives from has a heart, and the watchdog finds the one that is still.

A loop beats with each turn. One that waits for news looks up every few seconds and beats then, too, so that waiting
and hanging are told apart.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TypeVar

from ccm_orchestrator.engine.cancelling import cancel_all
from ccm_orchestrator.engine.failpoints import Stall, stall_nowhere

TURN_S = 5.0
"""At least so often a waiting loop looks up."""
PULSE_S = 2.0
"""The same while something is done that takes long."""

T = TypeVar("T")


class Heart:
    """Of one loop. Beats may come from any thread."""

    def __init__(self, name: str, deadline_s: float, stall: Stall = stall_nowhere) -> None:
        self.name = name
        self.deadline_s = deadline_s
        """How long it may stand still."""
        self.beats = 0
        self._stall = stall

    @property
    def idle_s(self) -> float:
        """So often it looks up while it waits."""
        return min(TURN_S, self.deadline_s / 3)

    def beat(self) -> None:
        self.beats += 1

    async def turn(self) -> None:
        """The loop goes round once more."""
        self.beats += 1
        await self._stall(self.name)

    async def rest(self, seconds: float, news: asyncio.Event | None = None) -> bool:
        """Sleeps, beating. True as soon as `news` is set."""
        loop = asyncio.get_running_loop()
        wake_at_s = loop.time() + seconds
        while (left_s := wake_at_s - loop.time()) > 0:
            slice_s = min(left_s, self.idle_s)
            if news is None:
                await asyncio.sleep(slice_s)
            else:
                with suppress(TimeoutError):
                    await asyncio.wait_for(news.wait(), slice_s)
                    return True
            await self.turn()
        return False

    async def during(self, work: Awaitable[T], at_most_s: float) -> T:
        """What `work` brings. It may rightly take so long; after that, nothing beats for it any more."""
        task = asyncio.ensure_future(work)
        try:
            for _ in range(math.ceil(at_most_s / PULSE_S)):
                self.beat()
                if (await asyncio.wait({task}, timeout=PULSE_S))[0]:
                    break
            return await task
        finally:
            if not task.done():
                await cancel_all([task])


class Hearts:
    """Of everything that belongs together: one orchestrator, or the daemon around it."""

    def __init__(self, deadline_s: float, stall: Stall = stall_nowhere) -> None:
        self._deadline_s = deadline_s
        self._stall = stall
        self._hearts: tuple[Heart, ...] = ()

    def __iter__(self) -> Iterator[Heart]:
        return iter(self._hearts)

    def add(self, name: str, deadline_s: float | None = None) -> Heart:
        """From now on it must beat. `deadline_s`: longer than that of the others."""
        heart = Heart(name, max(self._deadline_s, deadline_s or 0.0), self._stall)
        self._hearts = (*self._hearts, heart)
        return heart

    def remove(self, heart: Heart) -> None:
        """Its loop has ended, and was to end."""
        self._hearts = tuple(one for one in self._hearts if one is not heart)

    @contextmanager
    def beating(self, name: str) -> Iterator[Heart]:
        heart = self.add(name)
        try:
            yield heart
        finally:
            self.remove(heart)

    @property
    def proven(self) -> bool:
        """Each has beaten since it was added."""
        return all(heart.beats for heart in self._hearts)


class Pulse:
    """What the watchdog remembers of some hearts. It counts its looks, not seconds: a suspended machine misses no beat
    that it could have made."""

    def __init__(self, look_s: float) -> None:
        self._look_s = look_s
        self._seen: dict[Heart, tuple[int, int]] = {}
        """Beats, and looks since they rose last."""

    def late(self, hearts: Hearts) -> Sequence[str]:
        """One look. Names of those that stand still for too long, and of those that stopped together with them."""
        before, self._seen = self._seen, {}
        for heart in hearts:
            beats, looks = before.get(heart, (heart.beats, -1))
            self._seen[heart] = (heart.beats, 0 if heart.beats != beats else looks + 1)
        still_s = {heart: looks * self._look_s for heart, (_, looks) in self._seen.items()}
        if not any(still > heart.deadline_s for heart, still in still_s.items()):
            return ()
        return [heart.name for heart, still in still_s.items() if still > heart.deadline_s * 0.6]


Beat = Callable[[], None]


def no_beat() -> None:
    """Nobody waits for one."""
