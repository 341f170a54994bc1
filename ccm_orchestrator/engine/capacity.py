"""How many more agents this machine may run, shared by the claimers of several queues."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Capacity:
    """A claim that is under way has its places reserved, so that two claimers never take the same one."""

    def __init__(
        self,
        max_agents: int,
        running: Callable[[], int],
        claimers: int,
        freed: Callable[[], None],
        resting: Callable[[], int] = lambda: 0,
    ) -> None:
        """`freed` is called when reserved places may have become free again. `resting`: so many of those `running`
        give their places to whoever is claimed."""
        self._max_agents = max_agents
        self._running = running
        self._claimers = claimers
        self._freed = freed
        self._resting = resting
        self._reserved = 0
        self.entering = asyncio.Lock()
        """Held from the look whether a place is free until somebody has it."""

    @property
    def room(self) -> int:
        """Places that are free, or will be as soon as somebody needs them."""
        return max(0, self._max_agents - self._running() + self._resting() - self._reserved)

    @property
    def full(self) -> bool:
        return self._running() >= self._max_agents

    @contextmanager
    def reserve(self) -> Iterator[int]:
        """How many places may be claimed: one claimer's share, so that a store that hangs does not hold all of them."""
        share = math.ceil(self.room / self._claimers)
        self._reserved += share
        try:
            yield share
        finally:
            self._reserved -= share
            if self._claimers > 1:
                self._freed()
