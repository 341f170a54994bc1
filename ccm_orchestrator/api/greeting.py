"""The listener of a door with TLS, whose clients are unknown to the server until they have shaken hands."""

from __future__ import annotations

import socket
from collections.abc import Callable, Collection
from contextlib import suppress
from typing import Any

MOST_GREETING = 128
"""Clients that are shaking hands, or do not. Beyond that, the one that began first makes room."""


class GreetingListener(socket.socket):
    """Takes the place of another listener, which is closed for everybody else."""

    def __init__(self, listener: socket.socket, served: Callable[[], Collection[object]]) -> None:
        """`served`: addresses of the clients that have shaken hands."""
        super().__init__(listener.family, listener.type, listener.proto, fileno=listener.detach())
        self.setblocking(False)
        self._served = served
        self._greeting: dict[object, socket.socket] = {}

    def accept(self) -> tuple[socket.socket, Any]:
        connection, address = super().accept()
        self._greeting[tuple(address[:2])] = connection
        if len(self._greeting) > MOST_GREETING:
            self._make_room()
        return connection, address

    def _make_room(self) -> None:
        served = self._served()
        waiting = {address: each for address, each in self._greeting.items() if each.fileno() >= 0}
        self._greeting = {address: each for address, each in waiting.items() if address not in served}
        if len(self._greeting) > MOST_GREETING:
            oldest = self._greeting.pop(next(iter(self._greeting)))
            with suppress(OSError):  # gone meanwhile
                oldest.shutdown(socket.SHUT_RDWR)  # its transport, which closes it, finds the end of the stream
