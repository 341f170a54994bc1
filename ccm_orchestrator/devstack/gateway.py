"""The one address of the stack: what `https://PROJECT.supabase.co` is to a hosted project."""

from __future__ import annotations

import io
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import aiohttp
from aiohttp import web
from multidict import CIMultiDict
from yarl import URL

from ccm_orchestrator.devstack.faults import Faults
from ccm_orchestrator.devstack.keys import Keys

_HOP_BY_HOP = frozenset(
    {"connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "te", "trailer", "transfer-encoding"}
    | {"upgrade", "proxy-connection"}
)
_NOT_PASSED_ON = _HOP_BY_HOP | {"apikey", "host", "content-length"}
_NOT_HANDED_BACK = _HOP_BY_HOP | {"content-length"}
_LARGEST_BODY = 16 * 2**20
_REMEMBERED = 10_000
_PATIENCE_S = 0.2
"""What requests get to end by themselves when the gateway stops."""

SocketHandler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class Seen:
    method: str
    path: str
    status: int


class Gateway:
    """`/rest/v1/` → PostgREST, `/realtime/v1/websocket` → Realtime, and the public keys."""

    def __init__(self, keys: Keys, rest_url: str, realtime: SocketHandler, port: int) -> None:
        self.faults = Faults()
        self.seen: deque[Seen] = deque(maxlen=_REMEMBERED)
        """The requests to PostgREST that were answered, oldest first."""
        self._keys = keys
        self._rest_url = rest_url
        self._realtime = realtime
        self._port = port
        self._client: aiohttp.ClientSession | None = None
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        """Tolerates being called twice."""
        if self._runner is not None:
            return
        self._client = aiohttp.ClientSession(auto_decompress=False, connector=aiohttp.TCPConnector(limit=0))
        application = web.Application(client_max_size=_LARGEST_BODY)
        application.router.add_route("*", "/rest/v1/{path:.*}", self._rest)
        application.router.add_get("/realtime/v1/websocket", self._realtime)
        application.router.add_get("/auth/v1/.well-known/jwks.json", self._jwks)
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=_PATIENCE_S)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self._port, reuse_address=True).start()

    async def stop(self) -> None:
        """Every connection is closed and new ones are refused. Tolerates being called twice."""
        runner, self._runner = self._runner, None
        client, self._client = self._client, None
        if runner is not None:
            await runner.cleanup()
        if client is not None:
            await client.close()

    async def _rest(self, request: web.Request) -> web.StreamResponse:
        try:
            await request.read()  # it is kept: whoever has sent all of a request may go, and it is carried out
        except ConnectionError:
            return web.Response()
        fault = self.faults.hit(request)
        answer = await (fault.strike(request, lambda: self._forward(request)) if fault else self._forward(request))
        self.seen.append(Seen(request.method, request.path, answer.status))
        return answer

    async def _forward(self, request: web.Request) -> web.StreamResponse:
        key = request.headers.get("apikey") or request.query.get("apikey")
        if key is None or not self._keys.is_api_key(key):
            message = "Invalid API key" if key else "No API key found in request"
            return web.json_response({"message": message}, status=401)
        target = URL(self._rest_url + request.raw_path.removeprefix("/rest/v1"), encoded=True)
        assert self._client is not None
        body = await request.read()
        try:
            async with self._client.request(
                request.method,
                target,
                headers=self._passed_on(request, key),
                data=io.BytesIO(body) if body else None,  # as plain bytes, a large one would be warned of
                allow_redirects=False,
            ) as answer:
                kept = ((name, value) for name, value in answer.headers.items() if name.lower() not in _NOT_HANDED_BACK)
                return web.Response(status=answer.status, body=await answer.read(), headers=CIMultiDict(kept))
        except aiohttp.ClientError:
            return web.json_response(
                {"message": "An invalid response was received from the upstream server"}, status=502
            )

    async def _jwks(self, _: web.Request) -> web.Response:
        return web.json_response(self._keys.public_jwks())

    def _passed_on(self, request: web.Request, key: str) -> CIMultiDict[str]:
        kept = CIMultiDict(
            (name, value) for name, value in request.headers.items() if name.lower() not in _NOT_PASSED_ON
        )
        bearer = kept.get("Authorization", f"Bearer {key}")
        if bearer == f"Bearer {key}" and (token := self._keys.role_token(key)):
            kept["Authorization"] = f"Bearer {token}"
        return kept
