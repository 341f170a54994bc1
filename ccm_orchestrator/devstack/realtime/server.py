"""A stand-in for Supabase Realtime, as far as changes of tables are concerned, with switches for what can go wrong.

    server = RealtimeServer(database_url, jwt_secret)
    await server.start()
    app.router.add_get("/realtime/v1/websocket", server.handle)

It speaks vsn 1.0.0; broadcast and presence are not there.
`server.faults` and `server.pace` may be changed at any time and from any thread; the rest belongs to one event loop.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping

from aiohttp import web

from ccm_orchestrator.devstack.realtime import frames
from ccm_orchestrator.devstack.realtime.channel import Channel
from ccm_orchestrator.devstack.realtime.faults import Faults, Pace
from ccm_orchestrator.devstack.realtime.feed import DatabaseFeed
from ccm_orchestrator.devstack.realtime.session import House, Session
from ccm_orchestrator.devstack.realtime.tokens import TokenCheck, TokenRefused

SERVICE_RESTART = 1012
_VSN = "1.0.0"
_CLOSE_S = 1.0
"""How long a client may take to answer that its socket is closed."""


class HandshakeRefused(Exception):
    """No WebSocket for this one."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


class RealtimeServer:
    def __init__(
        self,
        database_url: str,
        jwt_secret: str,
        resolve_key: Callable[[str], str | None] = lambda key: key,
        *,
        jwks: Mapping[str, object] | None = None,
        publication: str = "supabase_realtime",
        poll_s: float = 0.05,
        ready_delay_s: float = 0.1,
    ) -> None:
        """`database_url`: of a superuser. `resolve_key`: the JWT that an API key stands for, or None."""
        self.pace = Pace(poll_s=poll_s, ready_s=ready_delay_s)
        self.faults = Faults()
        self._resolve_key = resolve_key
        self._tokens = TokenCheck(jwt_secret, jwks)
        self._feed = DatabaseFeed(database_url, publication, self.pace, self.faults)
        self._sessions: set[Session] = set()
        self._running = False

    async def start(self) -> None:
        """Returns when changes are kept for those who subscribe from now on. Raises: psycopg.Error."""
        if not self._running:
            await self._feed.start(self._channels)
            self._running = True

    async def stop(self) -> None:
        """Says goodbye and closes every socket; what happens until the next start is never told."""
        self._running = False
        for session in self._sessions:
            for topic in session.channels:
                session.send(frames.farewell(topic))
        await self.close_sockets(SERVICE_RESTART)
        await self._feed.stop()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """A WebSocket; or, if there will be none, JSON that says why."""
        try:
            token = self._admit(request)
        except HandshakeRefused as refused:
            await asyncio.sleep(self.pace.handshake_error_s)
            return web.json_response({"error": refused.reason}, status=refused.status)
        socket = web.WebSocketResponse(timeout=_CLOSE_S, compress=False)
        await socket.prepare(request)
        assert isinstance(request.transport, asyncio.Transport)
        session = Session(socket, request.transport, token, House(self._feed, self._tokens, self.pace, self.faults))
        self._sessions.add(session)
        try:
            await session.serve()
        finally:
            self._sessions.discard(session)
        return socket

    @property
    def sockets(self) -> int:
        """How many are open."""
        return len(self._sessions)

    @property
    def topics(self) -> list[str]:
        """Of the channels to which changes are delivered."""
        return sorted(channel.topic for channel in self._channels() if channel.heard_as is not None)

    def mend(self) -> None:
        """Takes back every fault that is a switch; what already hit a socket stays."""
        vars(self.faults).update(vars(Faults()))

    async def close_sockets(self, code: int) -> None:
        """Returns when they are gone. One that is frozen is reset."""
        sessions = list(self._sessions)
        for session in sessions:
            session.close(code)
        await asyncio.gather(*(session.ended() for session in sessions))

    async def abort_sockets(self) -> None:
        """Resets the TCP connections."""
        for session in list(self._sessions):
            session.abort()

    async def freeze_sockets(self) -> None:
        """Leaves the present ones half open: they neither read nor write any more. New ones are not concerned."""
        for session in self._sessions:
            session.freeze()

    async def send_system_error(self, message: str) -> None:
        """On every channel, which stays joined."""
        for channel in self._channels():
            channel.send(frames.system(channel.topic, "error", message))

    async def expire_tokens(self) -> None:
        """As if the token of every channel ended now."""
        for channel in self._channels():
            channel.fail("Token has expired 0 seconds ago")

    async def crash_channels(self) -> None:
        for channel in self._channels():
            channel.crash()

    async def subscribe_anew(self) -> None:
        """As after a restart or a move inside the server: a gap, and then another `system` ok on every channel."""
        for channel in self._channels():
            channel.lose_subscription()

    def _channels(self) -> list[Channel]:
        return [channel for session in self._sessions for channel in session.channels.values()]

    def _admit(self, request: web.Request) -> str:
        """The token of the socket. Raises: HandshakeRefused."""
        if not self._running:
            raise HandshakeRefused(503, "Realtime is not running")
        if self.faults.handshake_error is not None:
            raise HandshakeRefused(*self.faults.handshake_error)
        if request.query.get("vsn", _VSN) != _VSN:
            raise HandshakeRefused(400, f"This stand-in speaks vsn {_VSN} only")
        token = self._resolve_key(request.headers.get("x-api-key") or request.query.get("apikey", ""))
        try:
            self._tokens.claims(token or "", time.time())
        except TokenRefused as refused:
            raise HandshakeRefused(401, str(refused)) from refused
        return token or ""
