"""The second door, which other machines come in by: what is different there, and what must be true before it opens."""

from __future__ import annotations

import ipaddress
import ssl
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from starlette.types import ASGIApp, Receive, Scope, Send

from ccm_orchestrator.errors import InvalidSettings, NotFound

_CAME_BY_REMOTE_DOOR = "ccm_orchestrator.remote_door"
INTERNAL = "/internal"


@dataclass(frozen=True, slots=True)
class TlsFiles:
    certificate: Path
    """PEM, with the certificates between it and its root."""
    key: Path


@dataclass(frozen=True, slots=True)
class RemoteAddress:
    host: str
    port: int
    tls: TlsFiles | None
    """None: plain HTTP, for a network that is private by other means."""


class RemoteDoor:
    """ASGI: the same application as on loopback, without what is for this machine alone."""

    def __init__(self, app: ASGIApp, respond: Callable[[NotFound], ASGIApp]) -> None:
        self._app = app
        self._respond = respond

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        app = self._app
        if scope["type"] != "lifespan":
            scope[_CAME_BY_REMOTE_DOOR] = True
            if f"{scope['path']}/".startswith(f"{INTERNAL}/"):
                app = self._respond(NotFound("Not Found"))
        await app(scope, receive, send)


def came_by_remote_door(scope: Scope) -> bool:
    return bool(scope.get(_CAME_BY_REMOTE_DOOR))


def remote_address(
    host: str | None, port: int, exposed: bool, tls: tuple[Path | None, Path | None], plain_http: bool
) -> RemoteAddress | None:
    """None: other machines do not reach the daemon. Raises: InvalidSettings."""
    if host is None:
        return None
    if not exposed:
        raise InvalidSettings(
            f"`remote.host` is {host}, which would let other machines reach the API: set `remote.expose` to true, or "
            "start with `serve --expose`, if that is what you want."
        )
    try:
        ipaddress.ip_address(host)
    except ValueError:
        raise InvalidSettings(f"Expected `remote.host` to be an IP address such as 0.0.0.0, got: {host!r}.") from None
    certificate, key = tls
    if certificate is not None and key is not None:
        files = TlsFiles(certificate, key)
        check_tls(files)
        return RemoteAddress(host, port, files)
    if certificate is not None or key is not None:
        raise InvalidSettings("Only one of `remote.tls_certificate` and `remote.tls_key` is set: TLS needs both.")
    if not plain_http:
        raise InvalidSettings(
            "`remote.host` is set without TLS, so that keys would cross the network in the open: set "
            "`remote.tls_certificate` and `remote.tls_key`, or `remote.plain_http` where the network itself is private."
        )
    return RemoteAddress(host, port, None)


def check_tls(files: TlsFiles) -> None:
    """Raises: InvalidSettings, before anything is served."""
    try:
        readable_by_all = stat.S_IMODE(files.key.stat().st_mode) & stat.S_IROTH
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(files.certificate, files.key, password=_no_password)
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise InvalidSettings(
            f"TLS cannot be served with `remote.tls_certificate` ({files.certificate}) and `remote.tls_key` "
            f"({files.key}): {reason}."
        ) from error
    if readable_by_all:
        raise InvalidSettings(
            f"The key file {files.key} is open to every user of this machine: `chmod o= {files.key}`."
        )


def _no_password() -> str:
    """The daemon starts without anybody to ask."""
    raise ValueError("the key is protected by a pass phrase")
