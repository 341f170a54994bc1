"""Ids that are the same for the same parts, so that what is asked for twice is there once."""

from __future__ import annotations

import hashlib


def made_of(*parts: str) -> str:
    return hashlib.sha256(":".join(parts).encode("utf-8", "surrogatepass")).hexdigest()[:32]


def of_key(key: str | None, *whose: str) -> str | None:
    """The id of what a caller's `Idempotency-Key` stands for; None without a key. `whose`: what kind of thing it is the
    id of, and within what the key is the caller's own."""
    return made_of(*whose, key) if key else None
