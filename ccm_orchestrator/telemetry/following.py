"""Follows the event log on behalf of the daemon's own log, its counters and its traces: one reader for all three."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
from collections.abc import Callable, Sequence

from ccm_orchestrator.domain.events import BusEvent
from ccm_orchestrator.engine.bus import READ_BATCH, Bus
from ccm_orchestrator.engine.heartbeats import Heart
from ccm_orchestrator.errors import OrchestratorError, StoreError

log = logging.getLogger(__name__)

GATHER_S = 0.2
"""After something was published, so that a burst of events is read at once."""
RETRY_S = 2.0

Listener = Callable[[BusEvent], None]
"""Must be quick and must not fail."""


class Follower:
    """Begins with what is published after `start`; what an earlier daemon published is its own business."""

    def __init__(self, bus: Bus, listeners: Sequence[Listener], heart: Heart | None = None) -> None:
        self._bus = bus
        self._heart = heart or Heart("telemetry", math.inf)
        self._listeners = listeners
        self._cursor = 0
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Raises: StoreError."""
        self._cursor = await self._bus.log.last_seq()
        self._task = asyncio.create_task(self._follow(), name="telemetry")

    async def stop(self) -> None:
        """What was published so far is told."""
        if self._task is None:
            return
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task
        with contextlib.suppress(OrchestratorError):
            await self.catch_up()

    async def catch_up(self) -> None:
        """Raises: StoreError."""
        more = True
        while more:
            batch = await self._bus.log.read(self._cursor, READ_BATCH)
            for stored in batch:
                self._cursor = stored.seq
                for listen in self._listeners:
                    listen(stored.event)
            more = len(batch) == READ_BATCH  # what comes meanwhile is gathered, or this would read on for every event

    async def _follow(self) -> None:
        while True:
            await self._heart.turn()
            waiting = asyncio.ensure_future(self._bus.wait(self._heart.idle_s))
            await asyncio.sleep(0)  # registered before the read: nothing can fall between the two
            try:
                await self.catch_up()
                await waiting
                await asyncio.sleep(GATHER_S)
            except StoreError as error:
                log.warning("events are logged and counted later: %s", error.message)
                await asyncio.sleep(RETRY_S)
            finally:
                waiting.cancel()
