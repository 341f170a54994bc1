"""What carries calls out: one carrier blocks its thread, the other awaits. All decisions are made elsewhere."""

from __future__ import annotations

import asyncio
import random
import ssl
import time
from collections.abc import AsyncGenerator, Generator
from typing import Any, TypeVar

import httpx

from ccm_orchestrator.client.address import authorization, checked_url
from ccm_orchestrator.client.call import Answer, Call, Reply, encoded
from ccm_orchestrator.client.failures import UnexpectedAnswer, refusal, unreachable
from ccm_orchestrator.client.following import SILENCE_S, Following, Stream
from ccm_orchestrator.client.patience import Patience

Item = TypeVar("Item")


class Carrier:
    """How calls become requests, and answers results."""

    def __init__(self, base_url: httpx.URL, patience: Patience) -> None:
        self.base_url = base_url
        self.patience = patience

    def _request(self, call: Call[Any], read_s: float | None = None) -> dict[str, Any]:
        body = encoded(call.body)
        more = {} if body is None else {"Content-Type": "application/json"}
        answer_s = self.patience.answer_s if call.patience_s is None else call.patience_s
        return {
            "method": call.method,
            "url": call.path,
            "params": call.query or None,  # an empty mapping would take the path's own query away
            "content": body,
            "headers": {**call.headers, **more},
            "timeout": httpx.Timeout(answer_s, read=answer_s if read_s is None else read_s),
        }

    def _after_failure(self, call: Call[Any], tried: int, error: httpx.RequestError) -> float:
        """Seconds until the next try. Raises: DaemonUnreachable."""
        pause_s = self.patience.after_failure(call, tried, error, random.random())
        if pause_s is None:
            raise unreachable(error, self.base_url) from error
        return pause_s

    def _after_answer(self, call: Call[Any], tried: int, answer: httpx.Response) -> float | None:
        return self.patience.after_answer(call, tried, answer, random.random())

    def _result(self, call: Call[Answer], answer: httpx.Response) -> Answer:
        if not answer.is_success and answer.status_code not in call.also:
            raise refusal(answer)
        try:
            document = answer.json() if answer.content else None
        except ValueError as error:
            raise UnexpectedAnswer(f"{answer.request.url} answered something else than JSON.") from error
        return call.read(Reply(document, _next_page(answer)))


def _next_page(answer: httpx.Response) -> str | None:
    """Of the same daemon only: a token goes nowhere else."""
    target = answer.links.get("next", {}).get("url", "")
    return target if target.startswith("/") and not target.startswith("//") else None


class BlockingCarrier(Carrier):
    def __init__(self, http: httpx.Client, patience: Patience) -> None:
        super().__init__(http.base_url, patience)
        self.http = http

    def carry(self, call: Call[Answer]) -> Answer:
        tried = 0
        while True:
            tried += 1
            pause_s: float | None
            try:
                answer = self.http.request(**self._request(call))
            except httpx.RequestError as error:
                pause_s = self._after_failure(call, tried, error)
            else:
                pause_s = self._after_answer(call, tried, answer)
                if pause_s is None:
                    return self._result(call, answer)
            time.sleep(pause_s)  # sleeps because the caller asked for a client that blocks

    def follow(self, stream: Stream[Item]) -> Generator[Item, None, None]:
        following = Following(stream, self.patience, time.monotonic())
        while not following.ended:
            failure = None
            try:
                with self.http.stream(**self._request(following.upcoming(), SILENCE_S)) as answer:
                    if not answer.is_success:
                        answer.read()
                    if following.connected(answer):
                        for chunk in answer.iter_bytes():
                            yield from following.read(chunk, time.monotonic())
                            if following.ended:
                                return
            except httpx.RequestError as error:
                failure = unreachable(error, self.base_url)
            if following.ended:
                return
            pause_s = following.pause_s(time.monotonic(), random.random(), failure)
            time.sleep(pause_s)  # sleeps because the server asked not to be called again at once


class AwaitingCarrier(Carrier):
    def __init__(self, http: httpx.AsyncClient, patience: Patience) -> None:
        super().__init__(http.base_url, patience)
        self.http = http

    @classmethod
    def to(
        cls,
        url: str,
        token: str | None,
        patience: Patience,
        *,
        verify: ssl.SSLContext | bool = True,
        allow_plain_http: bool = False,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> AwaitingCarrier:
        """Raises: InvalidSettings."""
        http = httpx.AsyncClient(
            base_url=checked_url(url, allow_plain_http=allow_plain_http),
            headers=authorization(token),
            verify=verify,
            trust_env=False,
            transport=transport,
        )
        return cls(http, patience)

    async def carry(self, call: Call[Answer]) -> Answer:
        tried = 0
        while True:
            tried += 1
            pause_s: float | None
            try:
                answer = await self.http.request(**self._request(call))
            except httpx.RequestError as error:
                pause_s = self._after_failure(call, tried, error)
            else:
                pause_s = self._after_answer(call, tried, answer)
                if pause_s is None:
                    return self._result(call, answer)
            await asyncio.sleep(pause_s)

    async def follow(self, stream: Stream[Item]) -> AsyncGenerator[Item, None]:
        following = Following(stream, self.patience, time.monotonic())
        while not following.ended:
            failure = None
            try:
                async with self.http.stream(**self._request(following.upcoming(), SILENCE_S)) as answer:
                    if not answer.is_success:
                        await answer.aread()
                    if following.connected(answer):
                        async for chunk in answer.aiter_bytes():
                            for item in following.read(chunk, time.monotonic()):
                                yield item
                            if following.ended:
                                return
            except httpx.RequestError as error:
                failure = unreachable(error, self.base_url)
            if following.ended:
                return
            await asyncio.sleep(following.pause_s(time.monotonic(), random.random(), failure))
