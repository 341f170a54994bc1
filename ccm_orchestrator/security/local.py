"""Who may reach a daemon on loopback: which Host, which Origin, which peer, which token.

A web page that the user visits can send requests to 127.0.0.1, under a name of its own (DNS rebinding) or across
origins; so the Host must be one of ours, a browser's Origin too, and the peer is what the socket says, never a header.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from functools import lru_cache

from starlette.types import ASGIApp, Receive, Scope, Send

from ccm_orchestrator.errors import AccessRefused, Forbidden, MalformedHost, Misdirected

_AUTHORITY = re.compile(rb"(\[[0-9a-f:.]+\]|[a-z0-9]([a-z0-9.-]*[a-z0-9])?)(:[0-9]{1,5})?", re.IGNORECASE)
_FOREIGN_SITES = frozenset({b"cross-site", b"same-site"})
SUBPROTOCOL_BEARER = "bearer."
LOOPBACK_NAMES = ("127.0.0.1", "localhost", "[::1]")


class LocalOnly:
    """ASGI middleware: refuses foreign hosts and foreign origins before anything is routed or read."""

    def __init__(
        self,
        app: ASGIApp,
        extra_hosts: frozenset[str],
        origins: frozenset[str],
        respond: Callable[[AccessRefused], ASGIApp],
    ) -> None:
        """See `refusal`."""
        self._app = app
        self._extra_hosts = extra_hosts
        self._origins = origins
        self._respond = respond

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        refused = None if scope["type"] == "lifespan" else refusal(scope, self._extra_hosts, self._origins)
        app = self._respond(refused) if refused else self._app
        await app(scope, receive, send)


def refusal(
    scope: Scope, extra_hosts: frozenset[str] = frozenset(), origins: frozenset[str] = frozenset()
) -> AccessRefused | None:
    """Why this request may not be served at all; None when it may.

    `extra_hosts` are further authorities (`name:port`) under which people reach the daemon, such as a tunnel's;
    `origins` are those of pages elsewhere that may call, but for what is internal.
    """
    hosts = _served_hosts(scope) | extra_hosts
    internal = f"{scope.get('path', '')}/".startswith("/internal/")
    return _foreign_origin(scope, hosts, frozenset() if internal else origins) or _foreign_host(scope, hosts)


def peer_is_loopback(scope: Scope) -> bool:
    """By the socket's own address; forwarding headers are never looked at."""
    client = scope.get("client")
    if client is None:
        return False
    try:
        address = ipaddress.ip_address(client[0])
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_loopback


def presented_token(scope: Scope) -> str | None:
    """The one token in the headers (`Authorization: Bearer` or `X-API-Key`); None when there is none, or several.

    A browser cannot give a WebSocket headers, so there `Sec-WebSocket-Protocol` may carry it, after `bearer.`. A query
    string is never looked at: it ends up in logs and histories.
    """
    found = [_bearer(value) for value in _header(scope, b"authorization")]
    found += [value.decode("latin-1").strip() for value in _header(scope, b"x-api-key")]
    if scope["type"] == "websocket":
        offered = [name for name in scope["subprotocols"] if name.startswith(SUBPROTOCOL_BEARER)]
        found += [name.removeprefix(SUBPROTOCOL_BEARER) for name in offered]
    return found[0] if len(found) == 1 and found[0] else None


def _bearer(value: bytes) -> str:
    scheme, _, token = value.decode("latin-1").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def _header(scope: Scope, name: bytes) -> list[bytes]:
    return [value for key, value in scope["headers"] if key.lower() == name]


def _served_hosts(scope: Scope) -> frozenset[str]:
    """Loopback's names, and the very address that the request came to: no name can be made to mean another one."""
    server = scope.get("server")
    return frozenset() if server is None or server[1] is None else _authorities(server[0], server[1])


@lru_cache(maxsize=16)
def _authorities(host: str, port: int) -> frozenset[str]:
    address = f"[{host}]" if ":" in host else host
    return frozenset(f"{name}:{port}" for name in (*LOOPBACK_NAMES, address))


def _foreign_origin(scope: Scope, hosts: frozenset[str], origins: frozenset[str]) -> AccessRefused | None:
    named = _header(scope, b"origin")
    for origin in named:
        _, _, host = (text := origin.decode("latin-1").lower()).partition("://")
        if text not in origins and not (text.startswith(("http://", "https://")) and host in hosts):
            return Forbidden("The request comes from a web page of another origin, which this daemon never serves.")
    if not named and any(site.lower() in _FOREIGN_SITES for site in _header(scope, b"sec-fetch-site")):
        return Forbidden("The request comes from a web page of another site, which this daemon never serves.")
    return None


def _foreign_host(scope: Scope, hosts: frozenset[str]) -> AccessRefused | None:
    found = _header(scope, b"host")
    if len(found) != 1 or not _AUTHORITY.fullmatch(found[0]):
        return MalformedHost()
    if found[0].decode("ascii").lower() not in hosts:
        return Misdirected()
    return None
