"""API keys as texts: `ccm_`, eight characters that may be shown, and 256 bits that may not."""

from __future__ import annotations

import hashlib
import re
import secrets

from ccm_orchestrator.security.secrets import SECRET_BYTES, Secret

_SHOWN = "abcdefghijkmnpqrstuvwxyz23456789"
"""Without what people confuse."""
_SHOWN_CHARACTERS = 8
_KEY = re.compile(r"(ccm_[a-z0-9]{8})_[A-Za-z0-9_-]{43}")


def make_key() -> tuple[Secret, str]:
    """A new key, and its prefix."""
    prefix = "ccm_" + "".join(secrets.choice(_SHOWN) for _ in range(_SHOWN_CHARACTERS))
    return Secret(f"{prefix}_{secrets.token_urlsafe(SECRET_BYTES)}"), prefix


def digest(key: str) -> str:
    """What is stored. A fast hash is enough: nobody guesses 256 random bits."""
    return hashlib.sha256(key.encode()).hexdigest()


def looks_like_key(token: str) -> bool:
    return _KEY.fullmatch(token) is not None
