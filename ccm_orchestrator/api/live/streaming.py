"""Server-sent events that end with their client, with the server, or when nobody reads them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any, TypeVar

from fastapi.responses import StreamingResponse
from starlette.types import Message, Receive, Scope, Send

log = logging.getLogger(__name__)

HEARTBEAT = ": still here\n\n"

Item = TypeVar("Item")


class Stalled(Exception):
    """The client takes nothing."""


class EventStream(StreamingResponse):
    media_type = "text/event-stream"

    def __init__(self, body: AsyncGenerator[str | bytes, None], stall_s: float) -> None:
        """`stall_s`: a client that takes nothing for so long is dropped."""
        super().__init__(body, media_type=self.media_type)
        self._body = body
        self._stall_s = stall_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def patient(message: Message) -> None:
            try:
                async with asyncio.timeout(self._stall_s):
                    await send(message)
            except TimeoutError:
                raise Stalled from None

        try:
            await super().__call__(scope, receive, patient)
        except Stalled:
            log.info("%s reads nothing any more and is dropped", scope["client"])
            scope["app"].state.hang_up(scope["client"])
            await asyncio.sleep(0)  # the server notices
        finally:
            await self._body.aclose()


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
