"""One connection to Realtime, used once: the library's client, and what must be known of its insides.

The library's own ways to come back are not used: after a second join on the same socket and topic, the server's word
that the first one is over ends the second.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from realtime import (
    AsyncRealtimeChannel,
    AsyncRealtimeClient,
    RealtimePostgresChangesListenEvent,
    RealtimeSubscribeStates,
)
from realtime.message import Message, ServerMessage, SuccessSystemPayload
from realtime.types import PHOENIX_CHANNEL, PostgresChangesPayload
from websockets.exceptions import InvalidStatus

from ccm_orchestrator.adapters.supabase.liveness import Ended, is_rate_limit

_LIBRARY_HEARTBEAT_S = 86_400
"""It sends one at once and then, as far as we are concerned, none: it never looks whether they are answered."""
_TOO_MANY_REQUESTS = 429
UNPUBLISHED = "`tasks` is not in the publication `supabase_realtime`; `ccm-orchestrator doctor` says what to do"
_UNPUBLISHED = "Please check Realtime is enabled"
"""What the server says then, among much else."""


@dataclass
class News:
    ready: bool = False
    """The server said that changes are delivered from now on. What happened before may have been missed."""
    event: bool = False
    answered: bool = False
    ended: Ended | None = None


@dataclass
class Signals:
    """Filled by callbacks, which run where the library receives: an exception or a wait there would be its end."""

    _news: News = field(default_factory=News)
    _arrived: asyncio.Event = field(default_factory=asyncio.Event)

    def ready(self) -> None:
        self._news.ready = True
        self._arrived.set()

    def event(self) -> None:
        self._news.event = True
        self._arrived.set()

    def answered(self) -> None:
        self._news.answered = True
        self._arrived.set()

    def ended(self, ended: Ended) -> None:
        """The first one knows best."""
        self._news.ended = self._news.ended or ended
        self._arrived.set()

    def take(self) -> News:
        """What arrived since the last call."""
        news, self._news = self._news, News(ended=self._news.ended)
        self._arrived.clear()
        return news

    async def wait(self, timeout_s: float) -> None:
        """Until something arrives, or the time is over."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._arrived.wait()
        except TimeoutError:
            return


class Listening:
    def __init__(self, url: str, api_key: str, topic: str, filters: Sequence[str], signals: Signals) -> None:
        """Hears of rows that are inserted into `tasks` and meet one of the filters."""
        self._signals = signals
        self._client = AsyncRealtimeClient(url, api_key, auto_reconnect=False, hb_interval=_LIBRARY_HEARTBEAT_S)
        self._client.channels[PHOENIX_CHANNEL] = _Pulse(self._client, signals.answered)
        self._channel = self._client.channel(topic)
        self._channel.on_system(self._on_system)
        for condition in filters:
            self._channel.on_postgres_changes(
                RealtimePostgresChangesListenEvent.Insert, self._on_change, "tasks", "public", condition
            )
        self._tasks: set[asyncio.Task[None]] = set()
        self._transports: set[asyncio.Transport] = set()

    async def connect(self, token: str | None) -> None:
        """Raises whatever the library raises. `token` None: the API key speaks for itself."""
        if token is not None:
            await self._client.set_auth(token)  # before the join, which would be one of `anon` otherwise
        await self._client.connect()
        self._see_belongings()

    async def join(self) -> None:
        """Returns when it is answered, or will not be; `Signals.ended` tells which. Raises as `connect`."""
        await self._channel.subscribe(self._on_state)

    async def beat(self) -> None:
        await self._client.send(Message(topic=PHOENIX_CHANNEL, event="heartbeat", payload={}, ref="pulse"))

    async def renew(self, token: str) -> None:
        await self._client.set_auth(token)

    async def close(self, patience_s: float) -> None:
        """Nothing of it is left then: no socket, no task. A dead peer is not waited for longer than `patience_s`."""
        self._see_belongings()
        try:
            async with asyncio.timeout(patience_s):
                await self._client.close()
        except TimeoutError:
            pass
        finally:
            for transport in self._transports:
                transport.abort()
            await self._end_tasks()

    def _see_belongings(self) -> None:
        """The library lets go of them when it closes, whether they have ended or not."""
        client = self._client
        if client._ws_connection is not None:
            self._transports.add(client._ws_connection.transport)
        if client._listen_task is not None:
            self._tasks.add(client._listen_task)
            client._listen_task.add_done_callback(self._on_deaf)
        if client._heartbeat_task is not None:
            self._tasks.add(client._heartbeat_task)

    async def _end_tasks(self) -> None:
        """And what the library forgets altogether: timers of pushes and of a rejoin, what it runs in the background."""
        channel = self._channel
        pushes = (channel.join_push, *channel.messages_waiting_for_ack.values())
        timers = [channel.rejoin_timer.timer, *(push.timeout_task for push in pushes)]
        self._tasks |= {timer for timer in timers if timer is not None} | channel._background_tasks
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)  # nobody else takes their exceptions

    def _on_deaf(self, receiving: asyncio.Task[None]) -> None:
        error = None if receiving.cancelled() else receiving.exception()
        self._signals.ended(ended_by(error) if error is not None else Ended("the connection ended"))

    def _on_change(self, _: PostgresChangesPayload) -> None:
        """What it says is not believed: it may be old, cut short, or doubled."""
        self._signals.event()

    def _on_system(self, message: SuccessSystemPayload) -> None:
        if message.extension == "postgres_changes":
            self._signals.ready()

    def _on_state(self, state: RealtimeSubscribeStates, error: Exception | None) -> None:
        if error is not None:
            self._signals.ended(ended_by(error))
        elif state is RealtimeSubscribeStates.TIMED_OUT:
            self._signals.ended(Ended("the join was not answered"))
        elif state is RealtimeSubscribeStates.CLOSED:
            self._signals.ended(Ended("the server closed the channel"))


class _Pulse(AsyncRealtimeChannel):
    """Hears the answers to heartbeats. Without a channel of their topic, the library throws them away."""

    def __init__(self, client: AsyncRealtimeClient, answered: Callable[[], None]) -> None:
        super().__init__(client, PHOENIX_CHANNEL)
        self._answered = answered

    def _handle_message(self, message: ServerMessage) -> None:
        self._answered()


def ended_by(error: BaseException) -> Ended:
    """The library wraps what the server says of a channel in an exception, as JSON."""
    if isinstance(error, InvalidStatus):
        status = error.response.status_code
        return Ended(f"the server refused the connection with HTTP {status}", status == _TOO_MANY_REQUESTS)
    said = str(error) or type(error).__name__
    try:
        payload = json.loads(said)
    except ValueError:
        return Ended(said)
    if not isinstance(payload, dict):
        return Ended(said)
    reason = str(payload.get("reason") or payload.get("message") or said)
    if _UNPUBLISHED in reason:
        return Ended(UNPUBLISHED)
    return Ended(reason, is_rate_limit(reason))
