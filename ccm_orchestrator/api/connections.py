"""Connections whose clients keep us waiting: for how long, and how many of them there may be.

Whoever reaches the port can open connections, without any token. Each costs memory and a file descriptor, which agents
and the database need, so one on which nothing is being answered is given up in time, and sooner where there are many.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from enum import StrEnum
from http import HTTPStatus

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from ccm_orchestrator.api.limits import SECURITY_HEADERS
from ccm_orchestrator.api.problems import http_problem

MOST_WAITING = 256
"""Of one door. Beyond that, the one that has waited for its client the longest makes room."""


class Awaited(StrEnum):
    """What the client has to do next."""

    HEAD = "head"
    """Of a request: its first, or another one."""
    BODY = "body"
    """The rest of a request's."""
    READING = "reading"
    """To take what it was sent."""
    NOTHING = "nothing"
    """It is our turn."""


PATIENCE_S = {Awaited.HEAD: 20.0, Awaited.BODY: 120.0, Awaited.READING: 120.0}
"""For a whole head, for a whole body, and for any progress in reading."""


class Connection(H11Protocol):
    """HTTP/1.1 as uvicorn speaks it."""

    _seen: tuple[object, ...] = ()
    _since_s: float = 0.0
    """When what is awaited was first seen to be awaited."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._seen, self._since_s = self._mark, self.loop.time()
        if len(self.connections) > MOST_WAITING:
            make_room(each for each in self.connections if isinstance(each, Connection))

    @property
    def awaited(self) -> Awaited:
        if self.transport.get_write_buffer_size():
            return Awaited.READING
        if self.cycle is None or self.cycle.response_complete:
            return Awaited.HEAD
        return Awaited.BODY if self.cycle.more_body else Awaited.NOTHING

    @property
    def waited_s(self) -> float:
        """For the same thing."""
        waits = self.awaited is not Awaited.NOTHING and self._mark == self._seen
        return self.loop.time() - self._since_s if waits else 0.0

    def look(self) -> None:
        """Gives the client up if it is out of time. Called about once a second."""
        if self._mark != self._seen:
            self._seen, self._since_s = self._mark, self.loop.time()
        elif self.waited_s > PATIENCE_S.get(self.awaited, 0.0) > 0.0:
            self._give_up()

    def send_400_response(self, msg: str) -> None:
        """Of the protocol's own errors."""
        self._refuse(400, msg)

    def _give_up(self) -> None:
        if self.awaited is Awaited.HEAD:
            self._refuse(408, f"No request was sent within {PATIENCE_S[Awaited.HEAD]:g} s.")
        else:
            self.transport.abort()

    def _refuse(self, status: int, detail: str) -> None:
        """With a problem document, unless an answer was begun or the client is to be left alone already."""
        if self.transport.is_closing() or self.conn.our_state not in (h11.IDLE, h11.SEND_RESPONSE):
            self.transport.abort()
            return
        problem = http_problem(status, detail, {**SECURITY_HEADERS, "Connection": "close"})
        for event in (
            h11.Response(status_code=status, headers=problem.raw_headers, reason=HTTPStatus(status).phrase.encode()),
            h11.Data(data=bytes(problem.body)),
            h11.EndOfMessage(),
        ):
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()

    @property
    def _mark(self) -> tuple[object, ...]:
        """Changes whenever the client does what it has to."""
        return (self.awaited, self.cycle, self.transport.get_write_buffer_size())


def make_room(connections: Iterable[Connection]) -> None:
    """Drops the one that waits for its client the longest, if too many do."""
    waiting = [each for each in connections if each.awaited is not Awaited.NOTHING and not each.transport.is_closing()]
    if len(waiting) > MOST_WAITING:
        max(waiting, key=lambda each: each.waited_s).transport.abort()
