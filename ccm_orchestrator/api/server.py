"""The API's server: uvicorn on loopback, on the event loop of whoever starts it."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import os
import socket
from collections.abc import Generator

import uvicorn
from fastapi import FastAPI

from ccm_orchestrator.api.services import ESCAPED
from ccm_orchestrator.domain.dialogue import MAX_MESSAGE_BYTES
from ccm_orchestrator.errors import InvalidSettings, PortBusy

DRAIN_S = 5
"""How long requests may take to end when the server stops."""

PING_S = 20.0
"""How often a quiet WebSocket is asked whether its client is still there, and how long that may take to answer."""
MAX_SOCKET_MESSAGE_BYTES = ESCAPED * MAX_MESSAGE_BYTES + 4_096
"""What a client may send at once; more closes its WebSocket with 1009."""


class ApiServer:
    """Leaves signals alone: the process that holds the server decides what they mean."""

    def __init__(self, app: FastAPI, host: str, port: int) -> None:
        """Port 0: any free one, which `port` tells after the start."""
        self._app = app
        app.state.hang_up = self.hang_up
        self._host = "127.0.0.1" if host == "localhost" else host
        self._port = port
        self._server: _Server | None = None
        self._serving: asyncio.Task[None] | None = None

    @property
    def port(self) -> int:
        return self._port

    @property
    def connections(self) -> int:
        """How many are open."""
        return len(self._server.server_state.connections) if self._server else 0

    async def start(self) -> None:
        """Returns when connections are accepted. Raises: PortBusy, InvalidSettings (an address of other machines)."""
        if self._serving is not None:
            return
        listener = self._listen()
        self._port = listener.getsockname()[1]
        self._server = _Server(_config(self._app))
        self._serving = asyncio.create_task(self._server.serve(sockets=[listener]), name="api")
        accepting = asyncio.create_task(self._server.accepting.wait())
        await asyncio.wait({self._serving, accepting}, return_when=asyncio.FIRST_COMPLETED)
        accepting.cancel()
        if self._serving.done():
            await self._serving

    def hang_up(self, peer: tuple[str, int]) -> None:
        """Drops the connection from there at once, with what it was to be sent: its client reads nothing any more."""
        for connection in self._server.server_state.connections if self._server else ():
            transport: asyncio.Transport | None = getattr(connection, "transport", None)
            if transport is not None and transport.get_extra_info("peername")[:2] == tuple(peer):
                transport.abort()

    async def stop(self) -> None:
        """Streams end and held hooks are let go; returns when the last request was answered or given up."""
        if self._serving is None or self._server is None:
            return
        self._app.state.services.stopping.set()
        self._server.should_exit = True
        await self._serving
        self._serving = None

    def _listen(self) -> socket.socket:
        family = _loopback_family(self._host)
        listener = socket.socket(family, socket.SOCK_STREAM)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((self._host, self._port))
            listener.listen(256)
        except OSError as error:
            listener.close()
            raise PortBusy(
                f"The API cannot listen on {self._host} port {self._port} ({os.strerror(error.errno or 0)}): stop the "
                "program that uses it, perhaps another daemon, or set `api.port` in the configuration.",
                port=self._port,
            ) from error
        listener.setblocking(False)
        return listener


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.accepting = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.accepting.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield


def _config(app: FastAPI) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http="h11",
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
    )


def _loopback_family(host: str) -> socket.AddressFamily:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        address = None
    if address is None or not address.is_loopback:
        raise InvalidSettings(
            f"Expected `api.host` to be a loopback address such as 127.0.0.1, got: {host!r}. "
            "To reach the daemon from elsewhere, use a tunnel such as `ssh -L`."
        )
    return socket.AF_INET6 if address.version == 6 else socket.AF_INET
