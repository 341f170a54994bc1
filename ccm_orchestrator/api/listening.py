"""The addresses on which the API listens: bound before it is loaded, so that whoever connects meanwhile only waits."""

from __future__ import annotations

import errno
import os
import socket
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address

from ccm_orchestrator.errors import InvalidSettings, PortBusy
from ccm_orchestrator.security.doors import RemoteAddress


@dataclass(frozen=True, slots=True)
class Place:
    address: IPv4Address | IPv6Address
    port: int
    """0: any free one."""
    setting: str
    """Which the port comes from."""

    def listen(self) -> socket.socket:
        """Raises: PortBusy."""
        family = socket.AF_INET6 if self.address.version == 6 else socket.AF_INET
        # Without naming TCP, asyncio leaves Nagle's algorithm on, and each answer waits 40 ms for its second part.
        listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((str(self.address), self.port))
            listener.listen(256)
        except OSError as error:
            listener.close()
            setting = self.setting.replace("port", "host") if error.errno == errno.EADDRNOTAVAIL else self.setting
            busy = error.errno == errno.EADDRINUSE
            way_out = "stop the program that uses it, perhaps another daemon, or set" if busy else "set"
            raise PortBusy(
                f"The API cannot listen on {self.address} port {self.port} ({os.strerror(error.errno or 0)}): "
                f"{way_out} `{setting}` in the configuration.",
                port=self.port,
            ) from error
        listener.setblocking(False)
        return listener


def places(host: str, port: int, remote: RemoteAddress | None = None) -> list[Place]:
    """Loopback's first. Raises: InvalidSettings."""
    near = Place(_loopback("127.0.0.1" if host == "localhost" else host), port, "api.port")
    return [near] if remote is None else [near, Place(ip_address(remote.host), remote.port, "remote.port")]


def listen(at: list[Place]) -> list[socket.socket]:
    """Raises: PortBusy, having kept none open."""
    opened = list[socket.socket]()
    try:
        for place in at:
            opened.append(place.listen())
    except PortBusy:
        for listener in opened:
            listener.close()
        raise
    return opened


def _loopback(host: str) -> IPv4Address | IPv6Address:
    """Raises: InvalidSettings."""
    try:
        address = ip_address(host)
    except ValueError:
        address = None
    if address is None or not address.is_loopback:
        raise InvalidSettings(
            f"Expected `api.host` to be a loopback address such as 127.0.0.1, got: {host!r}. To reach the daemon from "
            "other machines, use a tunnel such as `ssh -L`, or open a second door with the settings in `[remote]`."
        )
    return address
