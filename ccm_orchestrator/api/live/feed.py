"""One reader of the event log for all who listen: each event is read, decoded and spelled once.

Listeners hold nothing but a cursor. The newest events are kept here, in bounds; who is further behind reads the log
itself, a few at a time, so that a slow one costs no memory, and one that was away resumes where it was.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from bisect import bisect_right
from collections.abc import AsyncGenerator, Sequence
from operator import attrgetter

from ccm_orchestrator.api.live.frames import FrameType, frame_of, types_of
from ccm_orchestrator.api.schemas import EventOutput
from ccm_orchestrator.domain.events import StoredEvent
from ccm_orchestrator.engine.bus import Bus
from ccm_orchestrator.errors import StoreError

log = logging.getLogger(__name__)

KEPT_EVENTS = 4_096
KEPT_BYTES = 48_000_000
BATCH = 500
GATHER_S = 0.02
"""After some events, the next ones gather for so long: under load everybody is woken for many at once."""
AGAIN_S = 1.0
"""After the log could not be read."""
READERS = 2
"""So many of those who are behind read the log at the same time."""


class Told:
    """A stored event with its spellings, made when they are first asked for."""

    __slots__ = ("_frames", "_sse", "seq", "stored")

    def __init__(self, stored: StoredEvent) -> None:
        self.stored = stored
        self.seq = stored.seq
        self._frames: dict[FrameType, str] = {}
        self._sse: bytes | None = None

    @property
    def types(self) -> tuple[FrameType, ...]:
        return types_of(self.stored.event.kind)

    def frame(self, frame_type: FrameType | None = None) -> str:
        """For a WebSocket."""
        wanted = frame_type or self.types[0]
        if wanted not in self._frames:
            self._frames[wanted] = frame_of(self.stored, wanted)
        return self._frames[wanted]

    @property
    def sse(self) -> bytes:
        """For a stream of server-sent events."""
        if self._sse is None:
            data = EventOutput.of(self.stored).model_dump_json()
            self._sse = f"id: {self.seq}\nevent: {self.stored.event.kind.value}\ndata: {data}\n\n".encode()
        return self._sse

    @property
    def size(self) -> int:
        """About so many bytes: the event and its spellings."""
        return 3 * len(self.sse)


class Feed:
    """Reads the log as long as anybody listens."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._kept: list[Told] = []
        self._size = 0
        self._floor = 0
        """Every event after this one that the reader knows is kept."""
        self._listeners = 0
        self._reader: asyncio.Task[None] | None = None
        self._begun = asyncio.Event()
        self._news = asyncio.Event()
        self._turnstile = asyncio.Semaphore(READERS)

    async def follow(
        self, after_seq: int, idle_s: float, task_id: str | None = None, run_id: str | None = None
    ) -> AsyncGenerator[Sequence[Told], None]:
        """Every event after the cursor, for ever; an empty batch after each `idle_s` without any.

        `task_id` and `run_id` spare reading others' events from the log, and promise nothing: filter what comes.
        """
        await self._listen()
        try:
            cursor = after_seq
            while True:
                floor, news = self._floor, self._news
                if cursor < floor:
                    batch = await self._read(cursor, task_id, run_id)
                    cursor = batch[-1].seq if batch else floor
                else:
                    batch = self._after(cursor)
                    cursor = batch[-1].seq if batch else cursor
                    if not batch and await _comes(news, idle_s):
                        continue
                yield batch
        finally:
            self._leave()

    async def _listen(self) -> None:
        self._listeners += 1
        if self._reader is None:
            self._begun.clear()
            self._reader = asyncio.create_task(self._keep_reading(), name="feed")
        try:
            await self._begun.wait()
        except asyncio.CancelledError:
            self._leave()
            raise

    def _leave(self) -> None:
        self._listeners -= 1
        if self._listeners == 0 and self._reader is not None:
            self._reader.cancel()
            self._reader = None
            self._kept, self._size = [], 0

    async def _keep_reading(self) -> None:
        while True:
            try:
                await self._read_on()
            except StoreError as error:
                log.warning("the event log cannot be read, trying again: %s", error.message)
                await asyncio.sleep(AGAIN_S)

    async def _read_on(self) -> None:
        if not self._begun.is_set():
            self._floor = await self._bus.log.last_seq()
            self._begun.set()
        last = self._kept[-1].seq if self._kept else self._floor
        async with contextlib.aclosing(self._bus.batches(last)) as batches:
            async for batch in batches:
                if batch:
                    self._keep(batch)
                    await asyncio.sleep(GATHER_S)

    def _keep(self, batch: Sequence[StoredEvent]) -> None:
        told = [Told(stored) for stored in batch]
        self._kept += told
        self._size += sum(entry.size for entry in told)
        surplus = 0
        while len(self._kept) - surplus > KEPT_EVENTS or (self._size > KEPT_BYTES and surplus < len(self._kept)):
            self._size -= self._kept[surplus].size
            surplus += 1
        if surplus:
            self._floor = self._kept[surplus - 1].seq
            del self._kept[:surplus]
        news, self._news = self._news, asyncio.Event()
        news.set()

    def _after(self, cursor: int) -> Sequence[Told]:
        start = bisect_right(self._kept, cursor, key=attrgetter("seq"))
        return self._kept[start : start + BATCH]

    async def _read(self, cursor: int, task_id: str | None, run_id: str | None) -> Sequence[Told]:
        async with self._turnstile:
            found = await self._bus.log.read(cursor, BATCH, task_id, run_id)
        return [Told(stored) for stored in found]


async def _comes(news: asyncio.Event, idle_s: float) -> bool:
    try:
        async with asyncio.timeout(idle_s):
            await news.wait()
    except TimeoutError:
        return False
    return True
