"""The public keys with which a Supabase project signs its users' tokens: fetched from one address, kept for a while.

The address comes from the configuration alone: what a token says of where its key is (`jku`, `x5u`, `jwk`) is never
looked at. Redirects are not followed, and an answer that is large or slow is given up.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx
import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from ccm_orchestrator.errors import IdentityUnavailable, Unauthenticated

log = logging.getLogger(__name__)

FRESH_S = 600.0
"""After this the keys are asked for again: what the project withdraws is believed no longer than this, and as long as
the project's own servers keep their answer (Supabase: 10 min)."""
MOST_STALE_S = 86_400.0
"""When the project does not answer, keys that are known are believed for so long."""
REFETCH_INTERVAL_S = 30.0
"""A token that names an unknown key makes us ask again, but not more often than this."""
RETRY_INTERVAL_S = 10.0
"""The same after an attempt that failed."""
FETCH_TIMEOUT_S = 3.0
_HEADERS = {"Accept": "application/json", "Accept-Encoding": "identity"}
"""Packed, 400 kB are 400 MB, and one piece of them is unpacked before anybody can count."""
MOST_BYTES = 65_536
MOST_KEYS = 100
SMALLEST_RSA_BITS = 2048

_ALGORITHMS: Mapping[tuple[object, object], str] = {
    ("EC", "P-256"): "ES256",
    ("RSA", None): "RS256",
    ("OKP", "Ed25519"): "EdDSA",
}
"""The one algorithm of each kind of key. Shared secrets are none: a published one would be no secret."""

Fetch = Callable[[], Awaitable[bytes]]


@dataclass(frozen=True, slots=True)
class VerifyingKey:
    algorithm: str
    """The only one that is believed with this key, whatever a token says."""
    key: Any = field(repr=False)


class PublishedKeys:
    """By their ids. Used from one event loop."""

    def __init__(self, fetch: Fetch, uptime_s: Callable[[], float]) -> None:
        self._fetch = fetch
        self._uptime_s = uptime_s
        self._lock = asyncio.Lock()
        self._keys: Mapping[str, VerifyingKey] = {}
        self._fetched_at_s: float | None = None
        self._tried_at_s: float | None = None
        self._failed = False

    async def key_for(self, header: Mapping[str, Any]) -> VerifyingKey:
        """Raises: Unauthenticated (the project has no such key); IdentityUnavailable (it cannot be asked)."""
        kid = header.get("kid")
        if not isinstance(kid, str) or not kid:
            raise Unauthenticated("The user token names no key (`kid`), so that nobody can tell who signed it.")
        if self._due(kid) or (kid not in self._keys and self._lock.locked()):
            async with self._lock:  # one asks, the others wait for what it is told
                if self._due(kid):
                    await self._refresh()
        if self._age_s() > MOST_STALE_S:
            raise IdentityUnavailable()
        if kid not in self._keys:
            raise Unauthenticated("The user token was signed with a key that the project does not publish.")
        return self._keys[kid]

    def flush(self) -> None:
        """The next token makes us ask anew, and nothing that was known is believed until then."""
        self._keys, self._fetched_at_s, self._tried_at_s = {}, None, None

    def _age_s(self) -> float:
        return float("inf") if self._fetched_at_s is None else self._uptime_s() - self._fetched_at_s

    def _due(self, kid: str) -> bool:
        if kid in self._keys and self._age_s() <= FRESH_S:
            return False
        pause_s = RETRY_INTERVAL_S if self._failed or kid in self._keys else REFETCH_INTERVAL_S
        return self._tried_at_s is None or self._uptime_s() - self._tried_at_s >= pause_s

    async def _refresh(self) -> None:
        self._tried_at_s = self._uptime_s()
        try:
            self._keys = read_keys(await self._fetch())
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError, ValueError) as error:
            self._failed = True
            log.warning("the keys of the users' tokens cannot be fetched (%s: %s)", type(error).__name__, error)
        else:
            self._failed, self._fetched_at_s = False, self._uptime_s()


def fetcher(url: str, trust_environment: bool) -> Fetch:
    """Asks `url`. Raises: what httpx raises, TimeoutError, ValueError."""

    async def fetch() -> bytes:
        async with (
            asyncio.timeout(FETCH_TIMEOUT_S),
            httpx.AsyncClient(follow_redirects=False, timeout=FETCH_TIMEOUT_S, trust_env=trust_environment) as client,
            client.stream("GET", url, headers=_HEADERS) as answer,
        ):
            if answer.status_code != 200:
                raise ValueError(f"{url} answered {answer.status_code}")
            if answer.headers.get("Content-Encoding", "identity").lower() != "identity":
                raise ValueError(f"{url} answered with packed content, which was not asked for")
            content = b""
            async for chunk in answer.aiter_bytes(8_192):
                content += chunk
                if len(content) > MOST_BYTES:
                    raise ValueError(f"{url} answered with more than {MOST_BYTES} bytes")
            return content

    return fetch


def read_keys(content: bytes) -> Mapping[str, VerifyingKey]:
    """Those of a JWK set that can be used, by `kid`. Raises: ValueError when it is none."""
    try:
        document = json.loads(content)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    listed = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(listed, list) or len(listed) > MOST_KEYS:
        raise ValueError("it is no JWK set")
    found: dict[str, VerifyingKey] = {}
    for jwk in listed:
        key = _read_key(jwk) if isinstance(jwk, dict) else None
        if key is not None and isinstance(jwk.get("kid"), str):
            found.setdefault(jwk["kid"], key)
    return found


def _read_key(jwk: Mapping[str, Any]) -> VerifyingKey | None:
    kind = (jwk.get("kty"), jwk.get("crv"))
    algorithm = _ALGORITHMS.get(kind) if all(isinstance(part, str | None) for part in kind) else None
    if algorithm is None or jwk.get("alg", algorithm) != algorithm or jwk.get("use", "sig") != "sig":
        return None
    public = {name: value for name, value in jwk.items() if name != "d"}
    try:
        key = jwt.PyJWK(public, algorithm=algorithm).key
    except (jwt.PyJWTError, ValueError, TypeError):
        return None
    if isinstance(key, RSAPublicKey) and key.key_size < SMALLEST_RSA_BITS:
        return None
    return VerifyingKey(algorithm, key)
