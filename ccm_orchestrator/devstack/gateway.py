"""The one address of the stack: what `https://PROJECT.supabase.co` is to a hosted project."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

import aiohttp
from aiohttp import web
from multidict import CIMultiDict
from yarl import URL

from ccm_orchestrator.devstack.keys import Keys

_HOP_BY_HOP = frozenset(
    {"connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "te", "trailer", "transfer-encoding"}
    | {"upgrade", "proxy-connection"}
)
_NOT_PASSED_ON = _HOP_BY_HOP | {"apikey", "host", "content-length"}
_NOT_HANDED_BACK = _HOP_BY_HOP | {"content-length", "content-encoding"}
_LARGEST_BODY = 16 * 2**20

SocketHandler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Gateway:
    """`/rest/v1/` → PostgREST, `/realtime/v1/websocket` → Realtime, and the public keys."""

    def __init__(self, keys: Keys, rest_url: str, realtime: SocketHandler | None) -> None:
        self._keys = keys
        self._rest_url = rest_url
        self._realtime = realtime
        self._client: aiohttp.ClientSession | None = None
        self._runner: web.AppRunner | None = None

    async def start(self, port: int) -> None:
        self._client = aiohttp.ClientSession(auto_decompress=False, connector=aiohttp.TCPConnector(limit=0))
        application = web.Application(client_max_size=_LARGEST_BODY)
        application.router.add_route("*", "/rest/v1/{path:.*}", self._rest)
        application.router.add_get("/auth/v1/.well-known/jwks.json", self._jwks)
        if self._realtime is not None:
            application.router.add_get("/realtime/v1/websocket", self._realtime)
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.5)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", port).start()

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
        if self._client is not None:
            await self._client.close()
        self._runner = self._client = None

    async def _rest(self, request: web.Request) -> web.StreamResponse:
        assert self._client is not None
        target = URL(self._rest_url + request.raw_path.removeprefix("/rest/v1"), encoded=True)
        headers = self._passed_on(request.headers)
        try:
            async with self._client.request(
                request.method, target, headers=headers, data=await request.read(), allow_redirects=False
            ) as answer:
                body = await answer.read()
                kept = ((name, value) for name, value in answer.headers.items() if name.lower() not in _NOT_HANDED_BACK)
                return web.Response(status=answer.status, body=body, headers=CIMultiDict(kept))
        except aiohttp.ClientError as error:
            return web.json_response({"message": f"upstream connect error: {error}"}, status=503)

    async def _jwks(self, _: web.Request) -> web.Response:
        return web.json_response(self._keys.public_jwks())

    def _passed_on(self, headers: Mapping[str, str]) -> CIMultiDict[str]:
        kept = CIMultiDict((name, value) for name, value in headers.items() if name.lower() not in _NOT_PASSED_ON)
        key = headers.get("apikey", "")
        if headers.get("Authorization", f"Bearer {key}") == f"Bearer {key}" and (token := self._keys.role_token(key)):
            kept["Authorization"] = f"Bearer {token}"
        return kept
