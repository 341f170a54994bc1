"""The bus: a durable log and a wake-up.

Subscribers hold a cursor into the log and read on when they are woken, so a slow one costs nothing but its own delay,
and one that was away resumes where it was.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence

from ccm_orchestrator.domain.events import BusEvent, HookRecord, StoredEvent
from ccm_orchestrator.ports.journal import EventStore

READ_BATCH = 500


class Bus:
    """Publishes to the event log and wakes subscribers on whatever event loop they run."""

    def __init__(
        self, store: EventStore, recorded: Callable[[Sequence[HookRecord]], None] = lambda _records: None
    ) -> None:
        """`recorded` hears of hook records once they are durable."""
        self.log = store
        self._recorded = recorded
        self._lock = threading.Lock()
        self._sleepers: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []

    async def publish(self, *events: BusEvent) -> None:
        """Returns when the events are durable."""
        if events:
            await self.log.append(events)
            self.wake()

    async def ingest(self, records: Sequence[tuple[HookRecord, Sequence[BusEvent]]]) -> None:
        """Keeps hook records and publishes what they mean, in one commit."""
        if records:
            await self.log.ingest(records)
            self._recorded([record for record, _ in records])
            self.wake()

    def wake(self) -> None:
        """Safe from any thread."""
        with self._lock:
            sleepers, self._sleepers = self._sleepers, []
        for loop, event in sleepers:
            if not loop.is_closed():
                loop.call_soon_threadsafe(event.set)

    async def wait(self, timeout_s: float) -> bool:
        """True when something was published after the call, False at the timeout."""
        entry = (asyncio.get_running_loop(), asyncio.Event())
        with self._lock:
            self._sleepers.append(entry)
        try:
            await asyncio.wait_for(entry[1].wait(), timeout_s)
        except TimeoutError:
            return False
        finally:
            with self._lock:
                if entry in self._sleepers:
                    self._sleepers.remove(entry)
        return True

    async def follow(
        self, after_seq: int, task_id: str | None = None, run_id: str | None = None, idle_s: float = 15.0
    ) -> AsyncIterator[StoredEvent | None]:
        """Every event after the cursor, for ever; None after each `idle_s` without one (a heartbeat)."""
        async for batch in self.batches(after_seq, task_id, run_id, idle_s):
            for stored in batch:
                yield stored
            if not batch:
                yield None

    async def batches(
        self, after_seq: int, task_id: str | None = None, run_id: str | None = None, idle_s: float = 15.0
    ) -> AsyncGenerator[Sequence[StoredEvent], None]:
        """The same by the handful, as the log is read; an empty one after each `idle_s` without any."""
        cursor = after_seq
        while True:
            waiter = asyncio.ensure_future(self.wait(idle_s))
            await asyncio.sleep(0)  # registered before the read: nothing can fall between the two
            try:
                batch = await self.log.read(cursor, READ_BATCH, task_id, run_id)
                if batch:
                    cursor = batch[-1].seq
                    yield batch
                elif not await waiter:
                    yield ()
            finally:
                waiter.cancel()
