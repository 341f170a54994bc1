"""One joined channel: subscribes after a while, and ends when its token does."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

import psycopg

from ccm_orchestrator.devstack.realtime import frames
from ccm_orchestrator.devstack.realtime.bindings import Binding, MalformedBinding
from ccm_orchestrator.devstack.realtime.faults import Faults, Pace
from ccm_orchestrator.devstack.realtime.judging import Subscription, SubscriptionRefused
from ccm_orchestrator.devstack.realtime.tokens import Claims, TokenRefused, refuse_expired


class Feed(Protocol):
    """Delivers changes to the channels that are subscribed."""

    async def subscribe(self, channel: Channel) -> None:
        """Delivers what is committed from now on, and nothing older, with the channel's present claims.

        Raises: SubscriptionRefused, MalformedBinding, psycopg.Error.
        """

    def forget(self, channel: Channel) -> None: ...


@dataclass(eq=False)
class Channel:
    topic: str
    join_ref: str | None
    bindings: tuple[Binding, ...]
    claims: Claims
    send: Callable[[str], None]
    gone: Callable[[Channel], None]
    """Told when it ends by itself."""
    feed: Feed
    pace: Pace
    faults: Faults
    heard_as: Claims | None = None
    """The claims with which changes are judged; None: no changes are delivered."""
    subscriptions: tuple[Subscription, ...] = ()
    _subscribing: asyncio.Task[None] | None = field(default=None, init=False)
    _expiring: asyncio.Task[None] | None = field(default=None, init=False)

    def start(self) -> None:
        """After the reply to the join."""
        self.resubscribe()
        self._expiring = asyncio.create_task(self._expire())

    def renew(self, claims: Claims) -> None:
        """With a new token. Until it is subscribed anew, the old claims decide."""
        if claims == self.claims:
            return
        self.end_tasks()
        self.claims = claims
        self.start()

    def resubscribe(self) -> None:
        if self._subscribing is not None:
            self._subscribing.cancel()
        if self.bindings:
            self._subscribing = asyncio.create_task(self._subscribe())

    def lose_subscription(self) -> None:
        """Something inside the server has begun anew; what happens until it is subscribed again is lost."""
        self.heard_as = None
        self.resubscribe()

    def fail(self, message: str) -> None:
        """Ends the channel with a reason."""
        self.send(frames.system(self.topic, "error", message, "system"))
        self.close()

    def crash(self) -> None:
        """As if the server's process of this channel had died."""
        self.send(frames.crash(self.topic, self.join_ref))
        self.gone(self)
        self.end()

    def close(self) -> None:
        self.send(frames.close(self.topic, self.join_ref))
        self.gone(self)
        self.end()

    def end(self) -> None:
        """Without a word to the client."""
        self.heard_as = None
        self.feed.forget(self)
        self.end_tasks()

    def end_tasks(self) -> None:
        for task in (self._subscribing, self._expiring):
            if task is not None and task is not asyncio.current_task():
                task.cancel()
        self._subscribing = self._expiring = None

    async def _subscribe(self) -> None:
        await asyncio.sleep(self.pace.ready_s)
        while not self.faults.never_ready:
            try:
                await self.feed.subscribe(self)
                return
            except (SubscriptionRefused, MalformedBinding) as error:
                self.send(frames.system(self.topic, "error", str(error)))
                return
            except psycopg.Error as error:
                self.send(frames.system(self.topic, "error", f"Unable to subscribe to changes: {error}"))
            await asyncio.sleep(self.pace.retry_s)

    async def _expire(self) -> None:
        while True:
            try:
                refuse_expired(self.claims.expires_at, time.time())
            except TokenRefused as refused:
                self.fail(refused.message)
                return
            await asyncio.sleep(min(max(self.claims.expires_at - time.time(), 0), self.pace.expiry_look_s))


def wished_bindings(payload: Mapping[str, object]) -> list[dict[str, object]]:
    """The list of a join, as the client wrote it."""
    config = payload.get("config")
    wishes = config.get("postgres_changes") if isinstance(config, dict) else None
    return [wish for wish in wishes if isinstance(wish, dict)] if isinstance(wishes, list) else []
