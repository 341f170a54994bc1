"""From the database to the channels: one loop that polls, judges and delivers. It alone uses the two connections."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

import psycopg

from ccm_orchestrator.devstack.realtime import frames
from ccm_orchestrator.devstack.realtime.bindings import MalformedBinding
from ccm_orchestrator.devstack.realtime.channel import Channel
from ccm_orchestrator.devstack.realtime.delivery import Delivery
from ccm_orchestrator.devstack.realtime.faults import Faults, Pace
from ccm_orchestrator.devstack.realtime.judging import Conditions, Judge, SubscriptionRefused
from ccm_orchestrator.devstack.realtime.source import ChangeSource, Publication
from ccm_orchestrator.devstack.realtime.wal import Change

logger = logging.getLogger(__name__)

_REOPEN_S = 0.2


@dataclass(eq=False)
class _Request:
    channel: Channel
    answer: asyncio.Future[None]


class DatabaseFeed:
    def __init__(self, database_url: str, publication: str, pace: Pace, faults: Faults) -> None:
        self._source = ChangeSource(database_url, publication)
        self._judge = Judge(database_url)
        self._pace = pace
        self._faults = faults
        self._delivery = Delivery(faults)
        self._publication = Publication()
        self._looked_at = 0.0
        self._subscribed: set[Channel] = set()
        self._requests: list[_Request] = []
        self._asked = asyncio.Event()
        self._polling: asyncio.Task[None] | None = None
        self.is_open = False
        """Whether the database answers."""

    async def start(self, everybody: Callable[[], list[Channel]]) -> None:
        """Returns when changes are kept from now on. `everybody`: the channels there are. Raises: psycopg.Error."""
        await self._open()
        self._polling = asyncio.create_task(self._poll_forever(everybody), name="realtime-feed")

    async def stop(self) -> None:
        polling, self._polling = self._polling, None
        try:
            if polling is not None:
                polling.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await polling
        finally:
            self._subscribed.clear()
            self._delivery.stop()
            await self._close()

    async def subscribe(self, channel: Channel) -> None:
        answer = asyncio.get_running_loop().create_future()
        self._requests.append(_Request(channel, answer))
        self._asked.set()
        await answer

    def forget(self, channel: Channel) -> None:
        self._subscribed.discard(channel)

    async def _poll_forever(self, everybody: Callable[[], list[Channel]]) -> None:
        while True:
            try:
                if not self.is_open:
                    await self._open()
                    self._begin_anew(everybody())
                if await self._look():
                    continue
                pause_s = self._pace.poll_s
            except psycopg.Error as error:
                logger.warning("The database does not answer, changes are lost: %s", error)
                await self._close()
                pause_s = _REOPEN_S
            await self._pause(pause_s)

    async def _pause(self, pause_s: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(pause_s):
                await self._asked.wait()
        self._asked.clear()

    async def _look(self) -> bool:
        """Whether anything was there. Everybody is subscribed anew when other tables are published than before."""
        publication = await self._source.published()
        changes = await self._source.poll(publication)
        for change in changes:
            if not self._faults.silent:
                await self._deliver(change)
        if self._faults.unpublished:
            publication = Publication()
        self._compare(publication)
        await self._answer_requests(publication)
        return bool(changes)

    def _compare(self, publication: Publication) -> None:
        if time.monotonic() - self._looked_at > self._pace.publication_s:
            before, self._publication, self._looked_at = self._publication, publication, time.monotonic()
            if before != publication:
                self._begin_anew(list(self._subscribed))

    async def _answer_requests(self, publication: Publication) -> None:
        while self._requests:
            request = self._requests[0]  # it stays in the list, so that it is answered if the database goes away now
            refusal: Exception | None = None
            try:
                if not request.answer.done():
                    await self._subscribe(request, publication)
            except (SubscriptionRefused, MalformedBinding) as error:
                refusal = error
            self._requests.remove(request)
            _answer(request.answer, refusal)

    async def _subscribe(self, request: _Request, publication: Publication) -> None:
        channel = request.channel
        claims = channel.claims
        subscriptions = [await self._judge.subscribe(b, claims.role, publication) for b in channel.bindings]
        if request.answer.done():  # the channel has gone away meanwhile
            return
        channel.subscriptions, channel.heard_as = tuple(subscriptions), claims
        self._subscribed.add(channel)
        channel.send(frames.system(channel.topic, "ok", "Subscribed to PostgreSQL"))

    async def _deliver(self, change: Change) -> None:
        try:
            ids = await self._matching_ids(change)
            bearers = {channel.heard_as for channel in ids if channel.heard_as is not None}
            told = await self._judge.seen_by(change, bearers) if bearers else {}
        except (psycopg.DataError, psycopg.ProgrammingError) as error:
            logger.warning("A change of %s.%s cannot be told: %s", change.schema, change.table, error)
            return
        for channel, matched in ids.items():
            if channel.heard_as in told:
                self._delivery.send(channel.send, frames.change(channel.topic, matched, told[channel.heard_as]))

    async def _matching_ids(self, change: Change) -> dict[Channel, list[int]]:
        wishes: list[tuple[Channel, int, Conditions]] = [
            (channel, subscription.binding.binding_id, conditions)
            for channel in self._subscribed
            for subscription in channel.subscriptions
            if (conditions := subscription.conditions_for(change)) is not None
        ]
        met = await self._judge.matching(change, [wish[2] for wish in wishes]) if wishes else set()
        ids: dict[Channel, list[int]] = {}
        for channel, binding_id, conditions in wishes:
            if conditions in met:
                ids.setdefault(channel, []).append(binding_id)
        return ids

    def _begin_anew(self, channels: list[Channel]) -> None:
        self._subscribed.clear()
        for channel in channels:
            channel.lose_subscription()

    async def _open(self) -> None:
        try:
            await self._source.open()
            await self._judge.open()
            self._publication, self._looked_at = await self._source.published(), time.monotonic()
        except BaseException:
            await self._close()
            raise
        self.is_open = True

    async def _close(self) -> None:
        self.is_open = False
        requests, self._requests = self._requests, []
        for request in requests:
            _answer(request.answer, psycopg.OperationalError("the database is away"))
        await self._source.close()
        await self._judge.close()


def _answer(answer: asyncio.Future[None], refusal: Exception | None) -> None:
    if answer.done():  # by a channel that has gone away
        return
    if refusal is None:
        answer.set_result(None)
    else:
        answer.set_exception(refusal)
