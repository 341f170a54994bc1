"""Switches for what can go wrong between a client and PostgREST, one request at a time."""

from __future__ import annotations

import asyncio
import re
import threading
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from aiohttp import web

_LOOK_S = 0.02

Forward = Callable[[], Awaitable[web.StreamResponse]]
"""Has PostgREST carry out the request."""


@dataclass(kw_only=True)
class Fault(ABC):
    """Hits requests whose `METHOD /path` has a match for `pattern`."""

    pattern: str = ""
    times: int | None = None
    """How many requests it hits; None: every one, until it is taken back."""
    hits: int = 0

    def matches(self, request: web.Request) -> bool:
        spent = self.times is not None and self.hits >= self.times
        return not spent and re.search(self.pattern, f"{request.method} {request.path}") is not None

    @abstractmethod
    async def strike(self, request: web.Request, forward: Forward) -> web.StreamResponse: ...


@dataclass(kw_only=True)
class WrongAnswer(Fault):
    """A foreign answer; PostgREST never hears of the request. Such as a gateway's error, or a captive portal's page."""

    status: int = 503
    body: str = '{"message": "The gateway cannot reach the project."}'
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)

    async def strike(self, request: web.Request, forward: Forward) -> web.StreamResponse:
        return web.Response(
            status=self.status, text=self.body, content_type=self.content_type, headers=dict(self.headers)
        )


@dataclass(kw_only=True)
class Delay(Fault):
    """The request arrives late, or its answer does."""

    request_s: float = 0.0
    answer_s: float = 0.0

    async def strike(self, request: web.Request, forward: Forward) -> web.StreamResponse:
        await asyncio.sleep(self.request_s)  # sleeps because a slow network is what is played
        answer = await forward()
        await asyncio.sleep(self.answer_s)  # sleeps because a slow network is what is played
        return answer


@dataclass(kw_only=True)
class Cut(Fault):
    """The connection is reset before PostgREST hears of the request; or `executed`, instead of the answer."""

    executed: bool = False

    async def strike(self, request: web.Request, forward: Forward) -> web.StreamResponse:
        if self.executed:
            await forward()
        if isinstance(request.transport, asyncio.Transport):
            request.transport.abort()
        return web.Response()


@dataclass(kw_only=True)
class Silence(Fault):
    """No answer ever, until the client gives up; PostgREST hears of the request only if it is `executed`."""

    executed: bool = False

    async def strike(self, request: web.Request, forward: Forward) -> web.StreamResponse:
        if self.executed:
            await forward()
        while request.transport and not request.transport.is_closing():  # noqa: ASYNC110 - aiohttp has no event for it
            await asyncio.sleep(_LOOK_S)
        return web.Response()


F = TypeVar("F", bound=Fault)


class Faults:
    """Those that are switched on. May be changed from any thread; the first one that matches a request hits it."""

    def __init__(self) -> None:
        self._active: list[Fault] = []
        self._lock = threading.Lock()

    def add(self, fault: F) -> F:
        """Gives it back, so that its `hits` can be waited for."""
        with self._lock:
            self._active.append(fault)
        return fault

    def remove(self, fault: Fault) -> None:
        with self._lock:
            self._active.remove(fault)

    def clear(self) -> None:
        with self._lock:
            self._active.clear()

    def hit(self, request: web.Request) -> Fault | None:
        with self._lock:
            fault = next((fault for fault in self._active if fault.matches(request)), None)
            if fault is not None:
                fault.hits += 1
            return fault
