"""API keys in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from ccm_orchestrator.domain import refusals
from ccm_orchestrator.domain.keys import ApiKey


class MemoryKeyStore:
    def __init__(self) -> None:
        self._keys: dict[str, ApiKey] = {}
        self._ids: dict[str, str] = {}
        """Of the keys, by digest."""

    async def add(self, key: ApiKey, digest: str) -> None:
        self._keys[key.key_id] = key
        self._ids[digest] = key.key_id

    async def keys(self) -> Sequence[ApiKey]:
        return list(reversed(self._keys.values()))

    async def by_digest(self, digest: str) -> ApiKey | None:
        return self._keys.get(self._ids.get(digest, ""))

    async def find(self, ref: str, now: datetime) -> ApiKey:
        keys = self._keys.values()
        exact = [key for key in keys if ref == key.key_id] or [key for key in keys if ref == key.prefix]
        found = exact or [key for key in keys if ref == key.name and key.works(now)]
        if len(found) != 1:
            raise refusals.ambiguous_key(ref) if found else refusals.key_not_found(ref)
        return found[0]

    async def used(self, key_id: str, at: datetime) -> None:
        if key_id in self._keys:
            self._keys[key_id] = replace(self._keys[key_id], last_used_at=at)

    async def revoke(self, key_id: str, at: datetime) -> ApiKey:
        key = self._get(key_id)
        self._keys[key_id] = replace(key, revoked_at=key.revoked_at or at)
        return self._keys[key_id]

    async def replace(self, key_id: str, new: ApiKey, digest: str, until: datetime) -> ApiKey:
        old = self._get(key_id)
        if old.revoked_at is not None:
            raise refusals.key_revoked(old.prefix)
        self._keys[key_id] = replace(old, expires_at=min(old.expires_at or until, until))
        await self.add(new, digest)
        return self._keys[key_id]

    def _get(self, key_id: str) -> ApiKey:
        if key_id not in self._keys:
            raise refusals.key_not_found(key_id)
        return self._keys[key_id]
