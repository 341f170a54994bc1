"""ASGI middleware around every route: how large a request may be, and what every answer says to browsers."""

from __future__ import annotations

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ccm_orchestrator.api.problems import http_problem

SECURITY_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}

_ENCODED = tuple((name.lower().encode(), value.encode()) for name, value in SECURITY_HEADERS.items())


class OneLength:
    """Refuses a request that tells its length in two ways, of which a proxy in front may have taken the other one."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        app = self._app
        if scope["type"] == "http" and dict(scope["headers"]).keys() >= {b"content-length", b"transfer-encoding"}:
            app = http_problem(
                400, "The request has a Content-Length and a Transfer-Encoding: send one.", {"Connection": "close"}
            )
        await app(scope, receive, send)


class BodyLimit:
    """Refuses a body that is announced or turns out to be too large, without reading it to its end."""

    def __init__(self, app: ASGIApp, max_bytes: int) -> None:
        self._app = app
        self._max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        announced = dict(scope["headers"]).get(b"content-length", b"0")
        if not announced.isdigit() or len(announced) > 15:
            await http_problem(400, "The Content-Length is not a number.")(scope, receive, send)
        elif int(announced) > self._max_bytes:
            await http_problem(413, self._too_large(), {"Connection": "close"})(scope, receive, send)
        else:
            await self._app(scope, self._counted(receive), send)

    def _counted(self, receive: Receive) -> Receive:
        received = 0

        async def counted() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > self._max_bytes:
                raise HTTPException(413, self._too_large(), {"Connection": "close"})
            return message

        return counted

    def _too_large(self) -> str:
        return f"The request's body is over {self._max_bytes} bytes."


class SecurityHeaders:
    """No answer is cached, framed, sniffed, or run as a page."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def with_headers(message: Message) -> None:
            if message["type"] in ("http.response.start", "websocket.http.response.start"):
                given = {name.lower() for name, _ in message["headers"]}
                more = [pair for pair in _ENCODED if pair[0] not in given]
                message["headers"] = [*message["headers"], *more]
            await send(message)

        await self._app(scope, receive, with_headers)
