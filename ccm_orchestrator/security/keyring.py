"""API keys: made, replaced, revoked."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta

from ccm_orchestrator.domain.caller import Caller, Scope
from ccm_orchestrator.domain.keys import ApiKey, check_wish
from ccm_orchestrator.ports.keys import KeyStore
from ccm_orchestrator.ports.world import Clock
from ccm_orchestrator.security.api_keys import digest, make_key
from ccm_orchestrator.security.secrets import Secret


class KeyRing:
    def __init__(self, store: KeyStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def create(
        self, maker: Caller, name: str, scopes: frozenset[Scope], owner: str | None, expires_at: datetime | None
    ) -> tuple[ApiKey, Secret]:
        """The key itself is nowhere kept. Raises: InputError."""
        now = self._clock.now()
        check_wish(name, scopes, owner, expires_at, now)
        secret, prefix = make_key()
        key = ApiKey(secrets.token_hex(16), name, prefix, scopes, owner, now, maker.name, expires_at)
        await self._store.add(key, digest(secret.reveal()))
        return key, secret

    async def rotate(self, maker: Caller, ref: str, overlap: timedelta) -> tuple[ApiKey, Secret]:
        """A key like the old one, for as long a time; the old one works for the overlap, so that both are accepted
        while the new one is carried to where it is used. Raises: KeyNotFound, WrongStatus."""
        now = self._clock.now()
        old = await self.find(ref)
        secret, prefix = make_key()
        until = None if old.expires_at is None else now + (old.expires_at - old.created_at)
        key = ApiKey(secrets.token_hex(16), old.name, prefix, old.scopes, old.owner, now, maker.name, until)
        await self._store.replace(old.key_id, key, digest(secret.reveal()), now + overlap)
        return key, secret

    async def revoke(self, ref: str) -> ApiKey:
        """From now on. Raises: KeyNotFound."""
        now = self._clock.now()
        return await self._store.revoke((await self.find(ref)).key_id, now)

    async def find(self, ref: str) -> ApiKey:
        """By id, prefix or name. Raises: KeyNotFound."""
        return await self._store.find(ref, self._clock.now())

    async def keys(self) -> Sequence[ApiKey]:
        """Newest first, those that work no more included."""
        return await self._store.keys()

    def works(self, key: ApiKey) -> bool:
        return key.works(self._clock.now())
