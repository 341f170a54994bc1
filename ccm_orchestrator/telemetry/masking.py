"""Secrets are covered wherever a text leaves the daemon for its log: those that it knows, and what looks like one."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterable

COVER = "[hidden]"
SHORTEST = 8
"""Shorter values are words of the language: covering each `true` would leave no log to read."""

_SHAPES = re.compile(
    r"""
      -----BEGIN\ [A-Z ]*PRIVATE\ KEY-----.*?(?:-----END\ [A-Z ]*PRIVATE\ KEY-----|\Z)
    | \beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*)?      # a JWT
    | \bsb_(?:secret|publishable)_[A-Za-z0-9_-]{8,}                        # Supabase
    | \bsbp_[A-Za-z0-9]{16,}
    | \bsk-[A-Za-z0-9_-]{12,}                                              # Anthropic, OpenAI
    | \bccm_[a-z0-9]{8}_[A-Za-z0-9_-]{43}                                  # this product's API keys
    | \b(?:gh[pousr]_|github_pat_|glpat-|xox[abeprs]-|AKIA)[A-Za-z0-9_-]{12,}
    | (?<=://)[^/\s:@]+:[^/\s@]+(?=@)                                      # user:password in a URL
    | (?i:(?<=bearer\ )|(?<=basic\ ))[A-Za-z0-9._~+/=-]{8,}
    | (?i:(?<=apikey=)|(?<=api_key=)|(?<=token=)|(?<=password=)|(?<=secret=))[^&\s"']+
    """,
    re.VERBOSE | re.DOTALL,
)


class Masker:
    """Safe from any thread."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._lock = threading.Lock()
        self._known: set[str] = set()
        self._pattern: re.Pattern[str] | None = None
        self.know(secrets)

    def know(self, secrets: Iterable[str]) -> None:
        """These are never shown from now on, nor any line of those that have several."""
        with self._lock:
            pieces = (piece.strip() for secret in secrets for piece in (secret, *secret.splitlines()))
            self._known |= {piece for piece in pieces if len(piece) >= SHORTEST}
            longest_first = sorted(self._known, key=len, reverse=True)
            self._pattern = re.compile("|".join(map(re.escape, longest_first))) if longest_first else None

    def __call__(self, text: str) -> str:
        if len(text) < SHORTEST:
            return text
        if self._pattern is not None:
            text = self._pattern.sub(COVER, text)
        return _SHAPES.sub(COVER, text)
