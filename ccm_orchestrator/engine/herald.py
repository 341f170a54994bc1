"""Tells people what happened: reads the event log into a durable queue of notices, and sends what is due.

How far the log was read is committed with the notices, so that a crash loses nothing and tells nothing twice; a crash
between a delivery and its record repeats that one.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta

from ccm_orchestrator.domain.events import BusEvent, StoredEvent
from ccm_orchestrator.domain.notices import Level, Notice, NoticeEvent, NoticeStatus, QueuedNotice
from ccm_orchestrator.domain.telling import NoticeTarget, message_of, settled_by
from ccm_orchestrator.engine.bus import Bus
from ccm_orchestrator.engine.heartbeats import Heart
from ccm_orchestrator.errors import StoreError
from ccm_orchestrator.ports.notices import Intake, NoticeCarrier, NoticeQueue
from ccm_orchestrator.ports.world import Clock

log = logging.getLogger(__name__)

SEND_S = 1.0
MOST_TRIES = 30
LONGEST_DELAY_S = 900.0
ALONE = 3
"""More than so many messages that are due at once come in one."""
SHOWN = 20
HOUR = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class HeraldRules:
    public_url: str | None = None
    waiting: timedelta = timedelta(seconds=60)
    window: timedelta = timedelta(seconds=300)
    per_hour: int = 30


class Herald:
    def __init__(
        self,
        targets: Sequence[NoticeTarget],
        queue: NoticeQueue,
        carrier: NoticeCarrier,
        bus: Bus,
        clock: Clock,
        project_of: Callable[[str], Awaitable[str | None]],
        rules: HeraldRules | None = None,
    ) -> None:
        self._targets = {target.name: target for target in targets}
        self._queue = queue
        self._carrier = carrier
        self._bus = bus
        self._clock = clock
        self._project_of = project_of
        self._rules = rules or HeraldRules()

    async def begin(self) -> None:
        """Before anything of this start is told. What was told before there was any herald is no news."""
        if await self._queue.cursor() is None:
            await self._queue.take_in(Intake(cursor=await self._bus.log.last_seq()), self._rules.window)

    async def run(self, heart: Heart) -> None:
        """For as long as the daemon lives. Raises: StoreError, after which it may be run again."""
        if not self._targets:
            return
        async with asyncio.TaskGroup() as group:
            group.create_task(self._listen(heart))
            for target in self._targets.values():
                group.create_task(self._serve(target))

    async def read(self, batch: Sequence[StoredEvent]) -> None:
        """One stretch of the log, in one commit for each run of events without a settling one."""
        notices: list[Notice] = []
        for stored in batch:
            if (topic := settled_by(stored.event)) is not None:
                await self._queue.take_in(Intake(notices, cursor=stored.seq - 1), self._rules.window)
                notices = []
                await self._queue.take_in(Intake(withdrawn=[topic]), self._rules.window)
            notices += await self._notices(stored.event)
        if batch:
            await self._queue.take_in(Intake(notices, cursor=batch[-1].seq), self._rules.window)

    async def send(self, target: NoticeTarget) -> None:
        """What is due for one target. A target that fails is tried again, later and later."""
        now = self._clock.now()
        due = await self._not_yet(target, await self._queue.due(target.name, now))
        if not due or await self._queue.sent_since(target.name, now - HOUR) >= self._rules.per_hour:
            return
        for parcel in [[queued] for queued in due] if len(due) <= ALONE else [due]:
            await self._deliver(target, parcel)

    async def tell_at_once(self, event: BusEvent) -> bool:
        """Past the queue, whose store is away. False: not everybody who wants to know could be told."""
        message = message_of(event, None, self._rules.public_url)
        if message is None:
            return True
        now = self._clock.now()
        wanting = [
            target
            for target in self._targets.values()
            if target.wants(message, None) and target.due_at(message.level, now) <= now
        ]
        title, level = f"ccm-orchestrator: {message.title}", message.level.value
        errors = await asyncio.gather(
            *(self._carrier.send(target.url, title, message.body, level) for target in wanting)
        )
        for target, error in zip(wanting, errors, strict=True):
            if error is not None:
                log.warning("target %s cannot be told at once: %s", target.name, error)
        return not any(errors)

    async def _listen(self, heart: Heart) -> None:
        async for batch in self._bus.batches(await self._queue.cursor() or 0, idle_s=heart.idle_s):
            await heart.turn()
            await self.read(batch)

    async def _serve(self, target: NoticeTarget) -> None:
        while True:
            await self.send(target)
            await asyncio.sleep(SEND_S)

    async def _notices(self, event: BusEvent) -> list[Notice]:
        if message_of(event, None, None) is None:
            return []
        project = await self._project_of(event.task_id) if event.task_id else None
        message = message_of(event, project, self._rules.public_url)
        if message is None:
            return []
        delay = self._rules.waiting if message.event is NoticeEvent.NEEDS_PERSON else timedelta()
        wanting = [target for target in self._targets.values() if target.wants(message, project)]
        return [message.to(target, event.at, delay) for target in wanting]

    async def _not_yet(self, target: NoticeTarget, due: Sequence[QueuedNotice]) -> Sequence[QueuedNotice]:
        """Without those that the quiet hours, which began meanwhile, keep back."""
        now, ready = self._clock.now(), []
        for queued in due:
            moment = target.due_at(queued.notice.level, now)
            if moment > now:
                await self._queue.put_off([queued.seq], moment, None)
            else:
                ready.append(queued)
        return ready

    async def _deliver(self, target: NoticeTarget, parcel: Sequence[QueuedNotice]) -> None:
        title, body = wording(parcel)
        level = max((queued.notice.level for queued in parcel), key=lambda level: level.rank)
        seqs = [queued.seq for queued in parcel]
        error = await self._carrier.send(target.url, title, body, Level(level).value)
        now, tries = self._clock.now(), max(queued.tries for queued in parcel) + 1
        if error is None:
            await self._queue.settle(seqs, NoticeStatus.SENT, now)
        elif tries >= MOST_TRIES:
            log.error("target %s was not told, after %d tries: %s", target.name, tries, error)
            await self._queue.settle(seqs, NoticeStatus.FAILED, now, error)
        else:
            delay_s = min(LONGEST_DELAY_S, 2.0**tries)
            log.warning("target %s cannot be told, again in %.0f s: %s", target.name, delay_s, error)
            await self._queue.put_off(seqs, now + timedelta(seconds=delay_s), error)


def wording(parcel: Sequence[QueuedNotice]) -> tuple[str, str]:
    """Title and body of one message."""
    if len(parcel) == 1:
        return f"ccm-orchestrator: {parcel[0].notice.title}{_times(parcel[0])}", parcel[0].notice.body
    lines = [f"{queued.notice.title}{_times(queued)}. {queued.notice.body}" for queued in parcel[:SHOWN]]
    more = [f"And {len(parcel) - SHOWN} more."] if len(parcel) > SHOWN else []
    return f"ccm-orchestrator: {len(parcel)} messages", "\n\n".join(lines + more)


def _times(queued: QueuedNotice) -> str:
    return f" ({queued.count} times)" if queued.count > 1 else ""


async def keep_telling(herald: Herald, heart: Heart, again_s: float = 5.0) -> None:
    """Runs it again when the store was away."""
    while True:
        await heart.turn()
        try:
            await herald.begin()
            await herald.run(heart)
            await heart.rest(math.inf)  # there is nobody to be told
        except* StoreError as errors:
            log.warning("people are told later: %s", errors.exceptions[0])
        await heart.rest(again_s)
