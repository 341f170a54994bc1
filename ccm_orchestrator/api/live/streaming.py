"""Server-sent events that end with their client, with the server, or when nobody reads them."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import ExitStack, asynccontextmanager
from typing import Any, TypeVar

from fastapi.responses import StreamingResponse
from starlette.requests import HTTPConnection
from starlette.types import Message, Receive, Scope, Send

from ccm_orchestrator.api.guards import Guard, admit, caller_of
from ccm_orchestrator.api.injection import services_of
from ccm_orchestrator.api.problems import problem_response
from ccm_orchestrator.errors import AccessRefused, TooManyRequests

log = logging.getLogger(__name__)

HEARTBEAT = ": still here\n\n"

Item = TypeVar("Item")


class Stalled(Exception):
    """The client takes nothing."""


class EventStream(StreamingResponse):
    """Ends, too, when its client takes nothing, or when the client's credential is not good any more."""

    media_type = "text/event-stream"

    def __init__(self, body: AsyncGenerator[str | bytes, None], headers: Mapping[str, str] | None = None) -> None:
        super().__init__(body, media_type=self.media_type, headers=headers)
        self._body = body
        self._admitted_at = time.monotonic()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = HTTPConnection(scope)
        options = services_of(request).options

        async def patient(message: Message) -> None:
            await self._still_admitted(request, options.heartbeat_s)
            try:
                async with asyncio.timeout(options.stall_s):
                    await send(message)
            except TimeoutError:
                raise Stalled from None

        try:
            async with self._place(request, receive, send) as place:
                if place:
                    await super().__call__(scope, receive, patient)
        except (Stalled, AccessRefused) as error:
            log.info("the stream to %s ends: %s", scope["client"], type(error).__name__)
            request.app.state.hang_up(scope["client"])
            await asyncio.sleep(0)  # the server notices
        finally:
            await self._body.aclose()

    @asynccontextmanager
    async def _place(self, request: HTTPConnection, receive: Receive, send: Send) -> AsyncIterator[bool]:
        """Among the streams that its client may have open; False: it was told that there is none."""
        with ExitStack() as stack:
            try:
                stack.enter_context(services_of(request).rates.streaming(caller_of(request)))
            except TooManyRequests as error:
                await problem_response(error)(request.scope, receive, send)
                yield False
                return
            yield True

    async def _still_admitted(self, request: HTTPConnection, every_s: float) -> None:
        """Raises: AccessRefused."""
        if time.monotonic() - self._admitted_at >= every_s:
            await admit(Guard.API_TOKEN, request.state.scope_needed, request)
            self._admitted_at = time.monotonic()


async def beating(
    items: AsyncIterator[Item], stopping: asyncio.Future[Any], heartbeat_s: float
) -> AsyncGenerator[Item | None, None]:
    """What comes, and None whenever nothing did for long, until there is no more or `stopping` is done.

    Its own clock: what a filter leaves out wakes `items` without making it yield.
    """
    upcoming: asyncio.Future[Any] = asyncio.ensure_future(anext(items))
    try:
        while not stopping.done():
            await asyncio.wait({upcoming, stopping}, timeout=heartbeat_s, return_when=asyncio.FIRST_COMPLETED)
            if upcoming.done():
                try:
                    item = upcoming.result()
                except StopAsyncIteration:
                    return
                upcoming = asyncio.ensure_future(anext(items))
                yield item
            elif not stopping.done():
                yield None
    finally:
        upcoming.cancel()
        await asyncio.wait({upcoming})  # its cursor is closed before this generator is
