"""The bus: a durable log and a wake-up.

Subscribers hold a cursor into the log and read on when they are woken, so a slow one costs nothing but its own delay,
and one that was away resumes where it was.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable, Sequence, Set
from dataclasses import dataclass, field

from ccm_orchestrator.domain.events import BusEvent, EventKind, HookRecord, StoredEvent
from ccm_orchestrator.ports.journal import EventStore

READ_BATCH = 500


@dataclass(eq=False, slots=True)
class _Sleeper:
    loop: asyncio.AbstractEventLoop
    kinds: Set[EventKind] | None
    event: asyncio.Event = field(default_factory=asyncio.Event)

    def waits_for(self, kinds: Set[EventKind] | None) -> bool:
        return kinds is None or self.kinds is None or not self.kinds.isdisjoint(kinds)


class Bus:
    """Publishes to the event log and wakes subscribers on whatever event loop they run."""

    def __init__(
        self,
        store: EventStore,
        recorded: Callable[[Sequence[HookRecord]], None] = lambda _records: None,
    ) -> None:
        """`recorded` hears of hook records once they are durable, before anybody is woken."""
        self.log = store
        self._recorded = recorded
        self._lock = threading.Lock()
        self._sleepers: list[_Sleeper] = []

    async def publish(self, *events: BusEvent) -> None:
        """Returns when the events are durable."""
        if events:
            await self.log.append(events)
            self.wake({event.kind for event in events})

    async def ingest(self, records: Sequence[tuple[HookRecord, Sequence[BusEvent]]]) -> None:
        """Keeps hook records and publishes what they mean, in one commit."""
        if records:
            await self.log.ingest(records)
            self._recorded([record for record, _ in records])
            self.wake()

    def wake(self, kinds: Set[EventKind] | None = None) -> None:
        """Whoever waits for one of these kinds; None: everybody. Safe from any thread."""
        with self._lock:
            woken = [sleeper for sleeper in self._sleepers if sleeper.waits_for(kinds)]
            self._sleepers = [sleeper for sleeper in self._sleepers if sleeper not in woken]
        for sleeper in woken:
            if not sleeper.loop.is_closed():
                sleeper.loop.call_soon_threadsafe(sleeper.event.set)

    async def wait(self, timeout_s: float, kinds: Set[EventKind] | None = None) -> bool:
        """True when something of these kinds (None: of any) was published after the call, False at the timeout."""
        entry = _Sleeper(asyncio.get_running_loop(), kinds)
        with self._lock:
            self._sleepers.append(entry)
        try:
            await asyncio.wait_for(entry.event.wait(), timeout_s)
        except TimeoutError:
            return False
        finally:
            with self._lock:
                if entry in self._sleepers:
                    self._sleepers.remove(entry)
        return True

    async def follow(
        self,
        after_seq: int,
        task_id: str | None = None,
        run_id: str | None = None,
        idle_s: float = 15.0,
        kinds: Set[EventKind] | None = None,
    ) -> AsyncGenerator[StoredEvent | None, None]:
        """Every event after the cursor, for ever; None after each `idle_s` without one (a heartbeat).

        With `kinds` those are told at once, and what else there is when one of them comes, or after `idle_s`.
        """
        async for batch in self.batches(after_seq, task_id, run_id, idle_s, kinds):
            for stored in batch:
                yield stored
            if not batch:
                yield None

    async def batches(
        self,
        after_seq: int,
        task_id: str | None = None,
        run_id: str | None = None,
        idle_s: float = 15.0,
        kinds: Set[EventKind] | None = None,
    ) -> AsyncGenerator[Sequence[StoredEvent], None]:
        """The same by the handful, as the log is read; an empty one after each `idle_s` without any."""
        cursor = after_seq
        while True:
            waiter = asyncio.ensure_future(self.wait(idle_s, kinds))
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
