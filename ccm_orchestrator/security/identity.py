"""Who a credential belongs to: the one place that tells, for HTTP and for WebSockets."""

from __future__ import annotations

import contextlib
from typing import Protocol

from ccm_orchestrator.domain.caller import Caller, CallerKind, Scope
from ccm_orchestrator.errors import StoreError, Unauthenticated
from ccm_orchestrator.ports.keys import KeyStore
from ccm_orchestrator.ports.world import Clock
from ccm_orchestrator.security import api_keys
from ccm_orchestrator.security.secrets import Secret


class Users(Protocol):
    """The users of the Supabase project."""

    async def caller(self, token: str, source: str) -> Caller:
        """Raises: Unauthenticated, Forbidden, IdentityUnavailable."""

    def flush(self) -> None:
        """What is known of the project's keys is asked for anew."""


class Identity:
    def __init__(self, local_token: Secret, keys: KeyStore, clock: Clock, users: Users | None = None) -> None:
        """`users`: None when the machine knows no users."""
        self._local_token = local_token
        self._keys = keys
        self._clock = clock
        self.users = users

    async def caller(self, token: str | None, source: str, from_here: bool = True) -> Caller:
        """`from_here`: the request came from this machine, which alone may use the machine's own token.

        Raises: Unauthenticated, Forbidden, IdentityUnavailable.
        """
        if from_here and self._local_token.matches(token):
            return Caller(CallerKind.LOCAL, "local", frozenset({Scope.ADMIN}), source=source)
        if token is not None and api_keys.looks_like_key(token):
            return await self._key_holder(token, source)
        if token is not None and token.count(".") == 2 and self.users is not None:
            return await self.users.caller(token, source)
        raise Unauthenticated()

    async def _key_holder(self, token: str, source: str) -> Caller:
        key, now = await self._keys.by_digest(api_keys.digest(token)), self._clock.now()
        if key is None:
            raise Unauthenticated()
        if not key.works(now):
            ended = "is revoked" if key.revoked_at else "has expired"
            raise Unauthenticated(f"The API key {key.prefix} {ended}: ask for a new one.")
        if key.use_is_news(now):
            with contextlib.suppress(StoreError):  # a full disk keeps nobody from stopping agents
                await self._keys.used(key.key_id, now)
        return key.caller(source)
