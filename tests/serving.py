"""HTTP servers of tests, on loopback, in a thread of their own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import TypeVar

LOOPBACK = ("127.0.0.1", 0)
POLL_S = 0.02

Server = TypeVar("Server", bound=ThreadingHTTPServer)


@contextmanager
def serving(server: Server) -> Iterator[Server]:
    """Until the end of the block; its port is closed then."""
    with server:
        thread = Thread(target=server.serve_forever, args=(POLL_S,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def answering(handler: type[BaseHTTPRequestHandler]) -> Iterator[int]:
    """The port at which such a server answers."""
    with serving(ThreadingHTTPServer(LOOPBACK, handler)) as server:
        yield server.server_port
