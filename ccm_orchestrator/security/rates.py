"""How often one may call: by credential, by address, and by address for those who fail to say who they are."""

from __future__ import annotations

import ipaddress
import math
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from ccm_orchestrator.domain.caller import Caller, CallerKind
from ccm_orchestrator.errors import TooManyRequests

MOST_REMEMBERED = 10_000
"""Callers; the one that was quiet for the longest is forgotten first."""
BURST_S = 4.0
"""Seconds' worth of calls that may come at once."""
STREAM_RETRY_S = 10
IPV6_PREFIX = 64
"""Whoever has an IPv6 address has this many bits of it to choose from."""


@dataclass(frozen=True, slots=True)
class Rates:
    """Calls per second; 0: no limit."""

    per_credential: float = 50.0
    per_address: float = 100.0
    """Of other machines, whoever they say they are: counted before anything is looked up."""
    failures: float = 0.5
    """Refused credentials, by address."""
    failures_at_once: float = 30.0
    streams: int = 64
    """Streams and WebSockets that one credential may have open; 0: no limit."""


class Buckets:
    """A bucket for each key, filled at a rate, emptied by calls."""

    def __init__(self, per_s: float, burst: float) -> None:
        self._per_s = per_s
        self._burst = burst
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()
        """What was left in it, and when."""

    def take(self, key: str, now_s: float) -> float:
        """0 when the call may be made; else the seconds after which it may, and nothing is taken."""
        if self._per_s <= 0:
            return 0.0
        left, at_s = self._left.pop(key, (self._burst, now_s))
        left = min(self._burst, left + max(0.0, now_s - at_s) * self._per_s)
        wait_s = 0.0 if left >= 1.0 else (1.0 - left) / self._per_s
        self._left[key] = (left if wait_s else left - 1.0, now_s)
        while len(self._left) > MOST_REMEMBERED:
            self._left.popitem(last=False)
        return wait_s


class RateLimits:
    """The machine's own token is free of limits: whoever has it can stop the daemon as well."""

    def __init__(self, rates: Rates, uptime_s: Callable[[], float]) -> None:
        self._uptime_s = uptime_s
        self._addresses = Buckets(rates.per_address, rates.per_address * BURST_S)
        self._credentials = Buckets(rates.per_credential, rates.per_credential * BURST_S)
        self._failures = Buckets(rates.failures, rates.failures_at_once)
        self._streams = rates.streams
        self._open: Counter[str] = Counter()

    def arrived(self, address: str) -> None:
        """A request of another machine. Raises: TooManyRequests."""
        _refuse(self._addresses.take(network(address), self._uptime_s()), "Too many requests came from this address")

    def called(self, caller: Caller) -> None:
        """Raises: TooManyRequests."""
        if caller.kind is not CallerKind.LOCAL:
            wait_s = self._credentials.take(f"{caller.kind} {caller.name}", self._uptime_s())
            _refuse(wait_s, f"Too many requests came with the credential {caller.name}")

    @contextmanager
    def streaming(self, caller: Caller) -> Iterator[None]:
        """For as long as one of its streams is open. Raises: TooManyRequests."""
        key = f"{caller.kind} {caller.name}"
        limited = caller.kind is not CallerKind.LOCAL and self._streams > 0
        if limited and self._open[key] >= self._streams:
            raise TooManyRequests(
                f"The credential {caller.name} has {self._streams} streams open: close one first.",
                retry_after_s=STREAM_RETRY_S,
            )
        self._open[key] += 1
        try:
            yield
        finally:
            self._open[key] -= 1
            self._open += Counter()  # keeps what is above nought

    def failed(self, address: str) -> None:
        """A credential was refused. Raises: TooManyRequests; good credentials are not kept out by others' bad ones."""
        _refuse(self._failures.take(network(address), self._uptime_s()), "Too many credentials of this address failed")


def network(address: str) -> str:
    """Whom an address stands for."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped is not None:
            return str(parsed.ipv4_mapped)
        return str(ipaddress.ip_network((parsed, IPV6_PREFIX), strict=False))
    return str(parsed)


def _refuse(wait_s: float, what: str) -> None:
    if wait_s > 0:
        seconds = max(1, math.ceil(wait_s))
        raise TooManyRequests(f"{what}: try again in {seconds} s.", retry_after_s=seconds)
