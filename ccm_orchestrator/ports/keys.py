"""Where API keys are kept: never the key, only what it hashes to."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from ccm_orchestrator.domain.keys import ApiKey


class KeyStore(Protocol):
    async def add(self, key: ApiKey, digest: str) -> None:
        """`digest`: SHA-256 of the whole key, in hex."""

    async def keys(self) -> Sequence[ApiKey]:
        """Newest first, those that work no more included."""

    async def by_digest(self, digest: str) -> ApiKey | None:
        """Whether it works is the caller's question."""

    async def find(self, ref: str, now: datetime) -> ApiKey:
        """By id, by prefix, or by name when only one key that works has it. Raises: KeyNotFound."""

    async def used(self, key_id: str, at: datetime) -> None: ...

    async def revoke(self, key_id: str, at: datetime) -> ApiKey:
        """A second time changes nothing. Raises: KeyNotFound."""

    async def replace(self, key_id: str, new: ApiKey, digest: str, until: datetime) -> ApiKey:
        """Adds the new one, and lets the old one work until then, or less long if it would have expired before;
        both or nothing. The old one, as it is now. Raises: KeyNotFound, WrongStatus (it is revoked)."""
