"""One WebSocket. Its frames are answered one after the other, as by Phoenix: a slow join holds up heartbeats."""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import dataclass

from aiohttp import WSCloseCode, WSMsgType, web

from ccm_orchestrator.devstack.realtime import frames
from ccm_orchestrator.devstack.realtime.bindings import Binding, MalformedBinding, read_binding
from ccm_orchestrator.devstack.realtime.channel import Channel, wished_bindings
from ccm_orchestrator.devstack.realtime.faults import CLOSES_SOCKET, REASONS, Faults, Pace
from ccm_orchestrator.devstack.realtime.feed import DatabaseFeed
from ccm_orchestrator.devstack.realtime.frames import Incoming, MalformedFrame
from ccm_orchestrator.devstack.realtime.tokens import OPAQUE_PREFIX, Claims, TokenCheck, TokenRefused

_IDLE_CLOSE = 1002
_CHANNEL_LIMIT = 100


@dataclass(frozen=True, slots=True)
class House:
    """What all sockets of a server share."""

    feed: DatabaseFeed
    tokens: TokenCheck
    pace: Pace
    faults: Faults


class _JoinRefused(Exception):
    """The reason is its text."""


class Session:
    def __init__(self, socket: web.WebSocketResponse, transport: asyncio.Transport, token: str, house: House) -> None:
        """`token`: what the socket was opened with; it speaks for channels that bring none."""
        self.channels: dict[str, Channel] = {}
        self._socket = socket
        self._transport = transport
        self._token = token
        self._house = house
        self._outgoing: asyncio.Queue[str | int] = asyncio.Queue()
        """Frames; a number is the code with which to close the socket."""
        self._ended = asyncio.Event()
        self._frozen = False

    async def serve(self) -> None:
        """Returns when the socket is closed."""
        reading = asyncio.create_task(self._read())
        writing = asyncio.create_task(self._write())
        try:
            await asyncio.wait([reading, writing], return_when=asyncio.FIRST_COMPLETED)
        finally:
            for channel in list(self.channels.values()):
                channel.end()
            reading.cancel()  # it may be in the middle of a slow join
            writing.cancel()
            await asyncio.gather(reading, writing, return_exceptions=True)
            self._ended.set()
        for task in (reading, writing):
            if not task.cancelled():
                task.result()

    def send(self, frame: str) -> None:
        self._outgoing.put_nowait(frame)

    def close(self, code: int) -> None:
        """After what is still to be sent. A frozen one is reset."""
        if self._frozen:
            self.abort()
        self._outgoing.put_nowait(code)

    async def ended(self) -> None:
        await self._ended.wait()

    def abort(self) -> None:
        self._transport.abort()

    def freeze(self) -> None:
        """Neither reads nor writes any more, but keeps the connection: the other side sees nothing of it."""
        self._frozen = True
        self._transport.pause_reading()

    async def _read(self) -> None:
        while True:
            try:
                message = await self._socket.receive(None if self._frozen else self._house.pace.idle_s)
            except TimeoutError:
                if not self._frozen:
                    self.close(_IDLE_CLOSE)
                continue
            if message.type in (WSMsgType.CLOSE, WSMsgType.CLOSING, WSMsgType.CLOSED, WSMsgType.ERROR):
                return
            try:
                await self._answer(frames.parse(message.data))
            except MalformedFrame:
                self.close(WSCloseCode.INTERNAL_ERROR)

    async def _write(self) -> None:
        while True:
            outgoing = await self._outgoing.get()
            if self._frozen:
                continue
            if isinstance(outgoing, int):
                await self._socket.close(code=outgoing)
                return
            with contextlib.suppress(ConnectionError):  # reading tells
                await self._socket.send_str(outgoing)

    async def _answer(self, frame: Incoming) -> None:
        if self._frozen:
            return
        channel = self.channels.get(frame.topic)
        if frame.topic == frames.PHOENIX and frame.event == "heartbeat":
            if not self._house.faults.mute_heartbeats:
                self.send(frames.reply(frame.topic, frame.ref, "ok", {}))
        elif frame.event == "phx_join" and frame.topic.startswith(frames.CHANNEL_PREFIX):
            await self._join(frame)
        elif frame.event == "phx_leave":
            self.send(frames.reply(frame.topic, frame.ref, "ok", {}))
            if channel is not None:
                channel.close()
        elif channel is None:
            self.send(frames.refusal(frame.topic, frame.ref, "unmatched topic"))
        elif frame.event == "access_token":
            self._renew(channel, frame.payload.get("access_token"))

    async def _join(self, frame: Incoming) -> None:
        await asyncio.sleep(self._house.faults.slow_join_s)
        try:
            claims, bindings = self._admit(frame)
        except (_JoinRefused, TokenRefused, MalformedBinding) as refused:
            await asyncio.sleep(self._house.pace.join_error_s)
            self.send(frames.refusal(frame.topic, frame.ref, str(refused)))
            if str(refused).startswith(CLOSES_SOCKET):
                self.close(WSCloseCode.GOING_AWAY)
            return
        house = self._house
        channel = Channel(
            frame.topic,
            frame.join_ref or frame.ref,
            bindings,
            claims,
            self.send,
            self._forget,
            house.feed,
            house.pace,
            house.faults,
        )
        wishes = wished_bindings(frame.payload)
        echo = [wish | {"id": binding.binding_id} for wish, binding in zip(wishes, bindings, strict=True)]
        self.send(frames.reply(frame.topic, frame.ref, "ok", {"postgres_changes": echo}))
        if (former := self.channels.get(frame.topic)) is not None:
            former.close()
        self.channels[frame.topic] = channel
        channel.start()

    def _admit(self, frame: Incoming) -> tuple[Claims, tuple[Binding, ...]]:
        """Raises: _JoinRefused, TokenRefused, MalformedBinding."""
        if self._house.faults.join_error is not None:
            raise _JoinRefused(self._house.faults.join_error)
        if len(self.channels) >= _CHANNEL_LIMIT:
            raise _JoinRefused(REASONS["channels"])
        claims = self._claims(frame.payload.get("access_token"))
        if not self._house.feed.is_open:
            raise _JoinRefused(REASONS["unreachable"])
        return claims, tuple(map(read_binding, wished_bindings(frame.payload)))

    def _renew(self, channel: Channel, token: object) -> None:
        if not isinstance(token, str) or token.startswith(OPAQUE_PREFIX):
            return
        try:
            channel.renew(self._claims(token))
        except TokenRefused as refused:
            channel.fail(refused.message)

    def _claims(self, token: object) -> Claims:
        """Raises: TokenRefused."""
        own = isinstance(token, str) and not token.startswith(OPAQUE_PREFIX)
        return self._house.tokens.claims(str(token) if own else self._token, time.time())

    def _forget(self, channel: Channel) -> None:
        if self.channels.get(channel.topic) is channel:
            del self.channels[channel.topic]
