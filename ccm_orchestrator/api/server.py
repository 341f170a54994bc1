"""The API's server: uvicorn on loopback, and on a second address if one is wanted, on its starter's event loop."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Generator, Sequence

import uvicorn
from fastapi import FastAPI
from starlette.types import ASGIApp

from ccm_orchestrator.api.connections import Connection
from ccm_orchestrator.api.greeting import GreetingListener
from ccm_orchestrator.api.listening import listen, places
from ccm_orchestrator.api.problems import problem_response
from ccm_orchestrator.api.renewing import keep_certificate
from ccm_orchestrator.api.services import ESCAPED
from ccm_orchestrator.domain.dialogue import MAX_MESSAGE_BYTES
from ccm_orchestrator.security.doors import RemoteAddress, RemoteDoor, TlsFiles

GOODBYE_S = 1.0
"""What streams and WebSockets have to say where to come back, before the server closes them without a word."""
DRAIN_S = 5
"""How long requests may take to end when the server stops."""

PING_S = 20.0
"""How often a quiet WebSocket is asked whether its client is still there, and how long that may take to answer."""
BACKLOG = 128
"""Connections that are accepted in one go, before others are served or dropped."""
MAX_SOCKET_MESSAGE_BYTES = ESCAPED * MAX_MESSAGE_BYTES + 4_096
"""What a client may send at once; more closes its WebSocket with 1009."""


class ApiServer:
    """Leaves signals alone: the process that holds the server decides what they mean."""

    def __init__(
        self,
        app: FastAPI,
        host: str,
        port: int,
        remote: RemoteAddress | None = None,
        listeners: Sequence[socket.socket] = (),
    ) -> None:
        """`host` and `port` are loopback's; port 0 is any free one, which `port` tells after the start.
        `remote` opens a second door, for other machines. `listeners`: of both, where they are open already.
        Raises: InvalidSettings."""
        self._app = app
        self._places = places(host, port, remote)
        self._listeners = listeners
        app.state.hang_up = self.hang_up
        self._near = _Door(_config(app), port, "api.port")
        self._doors = [self._near]
        if remote is not None:
            door = RemoteDoor(app, problem_response)
            config = _config(door, remote.tls)
            self._doors.append(_Door(config, remote.port, "remote.port", remote.tls))

    @property
    def port(self) -> int:
        return self._near.port

    @property
    def remote_port(self) -> int:
        """Of the second door."""
        return self._doors[-1].port

    @property
    def connections(self) -> int:
        """How many are open."""
        return sum(door.connections for door in self._doors)

    async def start(self) -> None:
        """Returns when connections are accepted. Raises: PortBusy, having started nothing."""
        if self._near.is_open:
            return
        listeners = self._listeners or listen(self._places)
        for door, listener in zip(self._doors, listeners, strict=True):
            await door.open(listener)

    async def serving(self) -> None:
        """Returns when one of the doors has closed though nobody stopped it. Raises: whatever ended it."""
        talking = [door.serving for door in self._doors if door.serving is not None]
        done, _ = await asyncio.wait(talking, return_when=asyncio.FIRST_COMPLETED)
        for ended in done:
            ended.result()

    def hang_up(self, peer: tuple[str, int]) -> None:
        """Drops the connection from there at once, with what it was to be sent: its client reads nothing any more."""
        for door in self._doors:
            door.hang_up(peer)

    async def stop(self) -> None:
        """Streams end and held hooks are let go; returns when the last request was answered or given up."""
        self._app.state.services.stopping.set()
        await asyncio.gather(*(door.close() for door in self._doors))


class _Door:
    """One address that is listened on."""

    def __init__(self, config: uvicorn.Config, port: int, name: str, tls: TlsFiles | None = None) -> None:
        self.port = port
        self._tls = tls
        self._renewing: asyncio.Task[None] | None = None
        self._config = config
        self._name = name
        self._server: _Server | None = None
        self._listener: socket.socket | None = None
        self.serving: asyncio.Task[None] | None = None
        """Done when it has closed, for whatever reason."""

    @property
    def is_open(self) -> bool:
        return self.serving is not None

    @property
    def connections(self) -> int:
        return len(self._server.server_state.connections) if self._server else 0

    async def open(self, listener: socket.socket) -> None:
        self.port = listener.getsockname()[1]
        self._server = server = _Server(self._config)
        self._listener = GreetingListener(listener, server.clients) if self._tls else listener
        self.serving = asyncio.create_task(self._server.serve(sockets=[self._listener]), name=self._name)
        accepting = asyncio.create_task(self._server.accepting.wait())
        await asyncio.wait({self.serving, accepting}, return_when=asyncio.FIRST_COMPLETED)
        accepting.cancel()
        if self.serving.done():
            await self.serving
        if self._tls is not None and self._config.ssl is not None:
            self._renewing = asyncio.create_task(keep_certificate(self._config.ssl, self._tls), name="certificate")

    async def close(self) -> None:
        if self._renewing is not None:
            self._renewing.cancel()
        if self.serving is None or self._server is None:
            return
        if talks := set(self._server.server_state.tasks):
            await asyncio.wait(talks, timeout=GOODBYE_S)
        self._server.leave()
        await asyncio.wait({self.serving})
        self._server.shut()
        if self._listener is not None:
            self._listener.close()
        self.serving = None

    def hang_up(self, peer: tuple[str, int]) -> None:
        for connection in self._server.server_state.connections if self._server else ():
            transport: asyncio.Transport | None = getattr(connection, "transport", None)
            if transport is not None and transport.get_extra_info("peername")[:2] == tuple(peer):
                transport.abort()


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.accepting = asyncio.Event()
        self._leaving = asyncio.Event()

    def leave(self) -> None:
        self.should_exit = True
        self._leaving.set()

    def shut(self) -> None:
        """What a server that ended by an error has left open."""
        for listening in getattr(self, "servers", ()):
            listening.close()

    async def main_loop(self) -> None:
        """Looks up as often as the header with the date changes, and not ten times a second; at connections, too."""
        while not await self.on_tick(0):
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._leaving.wait(), 1)
            for connection in list(self.server_state.connections):
                if isinstance(connection, Connection):
                    connection.look()

    def clients(self) -> set[object]:
        """Addresses of those that are connected."""
        return {getattr(connection, "client", None) for connection in self.server_state.connections}

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.accepting.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield


def _config(app: ASGIApp, tls: TlsFiles | None = None) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=Connection,
        backlog=BACKLOG,
        ws="websockets-sansio",
        ws_max_size=MAX_SOCKET_MESSAGE_BYTES,
        ws_ping_interval=PING_S,
        ws_ping_timeout=PING_S,
        ws_per_message_deflate=False,  # costs each connection memory, and every event a compression per reader
        lifespan="off",
        proxy_headers=False,  # the peer is what the socket says
        server_header=False,
        access_log=False,
        log_config=None,
        timeout_graceful_shutdown=DRAIN_S,
        ssl_certfile=tls.certificate if tls else None,
        ssl_keyfile=tls.key if tls else None,
    )
