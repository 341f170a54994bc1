"""Calls of the functions in the database, over PostgREST.

Every function may be called twice with the same arguments and does its work once (a claim has its request id, a write
its fence, a task its id), so a call whose outcome is unknown is simply made again.
"""

from __future__ import annotations

import asyncio
import ipaddress
import random
import time
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from typing import Any
from urllib.parse import urlsplit

import httpx
from postgrest import AsyncPostgrestClient

from ccm_orchestrator import __version__
from ccm_orchestrator.adapters.supabase.answers import BoundedClient
from ccm_orchestrator.adapters.supabase.credentials import Credentials
from ccm_orchestrator.adapters.supabase.health import HealthRecorder
from ccm_orchestrator.adapters.supabase.loop import StoreLoop
from ccm_orchestrator.adapters.supabase.patience import LONGEST_DELAY_S, Pauses, backoff_s
from ccm_orchestrator.adapters.supabase.translation import Exchange, not_the_api, translated
from ccm_orchestrator.adapters.supabase.wire import inbound, is_marked, outbound
from ccm_orchestrator.errors import OrchestratorError, StoreError, StoreRefused, StoreUnavailable

CONNECT_S = 5.0
ANSWER_S = 10.0
KEPT_OPEN_S = 60.0
"""Longer than the time between two renewals, so that each does not cost a new TLS connection."""
BUDGET_S = 10.0
"""Within which a call is begun anew after a hitch. After that the engine repeats it in its own time."""
CALL_S = 15.0
"""After which a call is given up, whatever it waits for: sooner than the watchdog loses patience with who made it."""
NO_CONTENT = 204
FORBIDDEN = 403
ONE_TASK = "p_task_id"
"""The parameter of functions that concern a single task."""

_current: ContextVar[Exchange] = ContextVar("exchange")
"""Where the response of the running request is noted: the client library keeps neither its status nor its headers."""


def is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def http_client(url: str, answer_s: float = ANSWER_S) -> httpx.AsyncClient:
    """HTTP/1.1, for calls are lost when a server recycles HTTP/2 connections; loopback is never asked of a proxy."""
    return RecordingClient(
        http1=True,
        http2=False,
        timeout=httpx.Timeout(answer_s, connect=min(CONNECT_S, answer_s)),
        limits=httpx.Limits(max_connections=16, max_keepalive_connections=8, keepalive_expiry=KEPT_OPEN_S),
        follow_redirects=False,
        trust_env=not is_loopback(url),
        verify=url.startswith("https:"),  # to load the certificates takes 20 ms, which plain HTTP need not wait for
        headers={"User-Agent": f"ccm-orchestrator/{__version__}"},
    )


class RecordingClient(BoundedClient):
    async def send(self, request: httpx.Request, **options: Any) -> httpx.Response:
        response = await super().send(request, **options)
        _current.get().response = response
        return response


class RestClient:
    """Between `open` and `close`, `rpc` may be awaited from any event loop."""

    def __init__(
        self,
        url: str,
        credentials: Credentials,
        loop: StoreLoop,
        recorder: HealthRecorder,
        budget_s: float = BUDGET_S,
        answer_s: float = ANSWER_S,
        uptime_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self.url = url.rstrip("/")
        self._credentials = credentials
        self._loop = loop
        self._recorder = recorder
        self._budget_s = budget_s
        self._answer_s = answer_s
        self._uptime_s = uptime_s
        self._pauses = Pauses(uptime_s)
        self._http: httpx.AsyncClient | None = None
        self._barred: StoreError | None = None

    def open(self) -> None:
        """Connects to nothing yet. A second call does nothing."""
        if self._http is None:
            self._http = http_client(self.url, self._answer_s)

    async def close(self) -> None:
        http, self._http = self._http, None
        if http is not None:
            await self._loop.run(http.aclose)

    def bar(self, error: StoreError | None) -> None:
        """Every call raises this until another call of `bar`; None: calls are made. From any thread."""
        self._barred = error

    async def rpc(
        self, function: str, params: Mapping[str, object], expect: type = dict, even_barred: bool = False
    ) -> Any:
        """The function's answer, which is of the type `expect`.

        Raises: StoreUnavailable after tries within the budget; StoreRefused, SchemaTooOld, StoreError at once; what the
        function itself refuses.
        """
        if self._barred is not None and not even_barred:
            raise type(self._barred)(self._barred.message, **vars(self._barred))
        sent = outbound(params)
        return await self._loop.run(lambda: self._call(function, sent, expect))

    async def _call(self, function: str, params: Mapping[str, object], expect: type) -> Any:
        self._pauses.check(function)
        try:
            async with asyncio.timeout(CALL_S):
                answer = await self._insist(function, params, expect)
        except TimeoutError:
            error = StoreUnavailable(f"Supabase at {self.url} did not answer within {CALL_S:g} s.")
            self._recorder.failed(error)
            raise error from None
        except OrchestratorError as error:
            if isinstance(error, StoreError):
                self._pauses.refused(function, error)
            if ONE_TASK in params and getattr(error, "status", None) == FORBIDDEN:
                self._recorder.answered(function)  # that task is another's; nothing is wrong with this system
            else:
                self._recorder.failed(error, function)
            raise
        self._pauses.answered(function)
        self._recorder.answered(function)
        return answer

    async def _insist(self, function: str, params: Mapping[str, object], expect: type) -> Any:
        """Once more after a refused token that can be replaced, and again while there is budget."""
        deadline_s, attempt, renewed = self._uptime_s() + self._budget_s, 0, False
        while True:
            try:
                return await self._ask(function, params, expect)
            except StoreRefused as error:
                if getattr(error, "status", None) != 401 or renewed or not self._credentials.renew():
                    raise self._explained(error) from error
                renewed = True
            except StoreUnavailable as error:
                asked_s = min(getattr(error, "retry_after_s", None) or 0.0, LONGEST_DELAY_S)
                delay_s = max(backoff_s(attempt, random.random()), asked_s)
                if self._uptime_s() + delay_s > deadline_s:
                    raise
                await asyncio.sleep(delay_s)
                attempt += 1

    async def _ask(self, function: str, params: Mapping[str, object], expect: type) -> Any:
        """One request."""
        if self._http is None:
            raise StoreUnavailable("The connection to Supabase is closed.")
        problem = self._credentials.problem()
        if problem is not None:
            raise StoreRefused(problem)
        exchange = Exchange(self.url, function)
        _current.set(exchange)
        postgrest = AsyncPostgrestClient(
            f"{self.url}/rest/v1",
            headers=dict(self._credentials.headers()),
            http_client=self._http,
            retry_enabled=False,
        )
        try:
            with translated(exchange):
                reply = await postgrest.rpc(function, dict(params)).execute()  # type: ignore[arg-type]  # any JSON goes
        finally:
            self._look_at_clock(exchange)
        if exchange.status == NO_CONTENT and expect is type(None):
            return None
        if not exchange.is_json or not isinstance(reply.data, expect):
            raise not_the_api(exchange)
        return inbound(reply.data) if is_marked(exchange.body) else reply.data

    def _explained(self, error: StoreRefused) -> StoreRefused:
        """A token of somebody else that ran out is told by its own sentence."""
        expired = self._credentials.expired() if getattr(error, "status", None) == 401 else None
        return StoreRefused(expired, status=401) if expired else error

    def _look_at_clock(self, exchange: Exchange) -> None:
        server_time = exchange.server_time
        if server_time is not None:
            self._recorder.clock_skew(self._credentials.server_clock(server_time))
