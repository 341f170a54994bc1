"""The persistent control-mode client: commands only."""

from __future__ import annotations

import asyncio
import threading

from ccm_orchestrator.adapters.tmux.commands import Answer, Request
from ccm_orchestrator.adapters.tmux.connection import Connection, Ended
from ccm_orchestrator.adapters.tmux.server import Address

COMMAND_TIMEOUT_S = 5.0


class ControlClient:
    """Keeps one connection to the tmux server, and makes a new one for the next request after it was lost.

    May be used from any thread and any event loop: a thread of its own does the reading and writing.
    """

    def __init__(self, address: Address, timeout_s: float = COMMAND_TIMEOUT_S) -> None:
        self._address = address
        self._timeout_s = timeout_s
        self._lock = threading.Lock()
        self._connection: Connection | None = None

    async def run(self, *requests: Request) -> Answer:
        while True:
            try:
                future = self._current().submit(requests)
            except Ended:
                continue  # between the look and the call
            return await asyncio.wrap_future(future)

    async def close(self) -> None:
        with self._lock:
            connection, self._connection = self._connection, None
        if connection is not None:
            await asyncio.to_thread(connection.close)

    @property
    def client_pid(self) -> int | None:
        """Of the tmux client process, while there is one."""
        connection = self._connection
        return connection.pid if connection is not None and not connection.ended else None

    def _current(self) -> Connection:
        with self._lock:
            if self._connection is None or self._connection.ended:
                self._connection = Connection(self._address, self._timeout_s)
            return self._connection
