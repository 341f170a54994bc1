"""Reading JSON that somebody else wrote: every field may be missing, of another type, or megabytes long."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Final

TEXT_LIMIT: Final = 2000
ITEM_LIMIT: Final = 50
DEPTH_LIMIT: Final = 6

Json = Mapping[str, object]
_NOTHING: Final[Json] = {}
_MAYBE_SURROGATE = (b"\\ud", b"\\uD", b"\xed")


def parse_object(raw: bytes) -> Json | None:
    """None when it is not a JSON object. Lone surrogates, which no encoding can hold, become question marks."""
    try:
        value = json.loads(raw, parse_constant=str)
        if any(mark in raw for mark in _MAYBE_SURROGATE):
            value = json.loads(json.dumps(value, ensure_ascii=False).encode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def text(payload: Json, key: str) -> str:
    value = payload.get(key)
    return value if isinstance(value, str) else ""


def number(payload: Json, key: str) -> float | None:
    value = payload.get(key)
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def whole(payload: Json, key: str) -> int:
    value = payload.get(key)
    return value if isinstance(value, int) else 0


def table(payload: Json, key: str) -> Json:
    value = payload.get(key)
    return value if isinstance(value, dict) else _NOTHING


def items(payload: Json, key: str) -> Sequence[object]:
    value = payload.get(key)
    return value if isinstance(value, list) else ()


def tables(payload: Json, key: str) -> Sequence[Json]:
    return [item for item in items(payload, key) if isinstance(item, dict)]


def excerpt(value: object, depth: int = 0) -> object:
    """A copy that is small enough to publish; the raw payload is kept elsewhere."""
    if isinstance(value, str):
        return _short(value)
    if isinstance(value, dict):
        return {_short(str(key)): _inner(item, depth) for key, item in list(value.items())[:ITEM_LIMIT]}
    if isinstance(value, list):
        return [_inner(item, depth) for item in value[:ITEM_LIMIT]]
    return value


def _inner(value: object, depth: int) -> object:
    return excerpt(value, depth + 1) if depth < DEPTH_LIMIT else "…"


def _short(value: str) -> str:
    return value if len(value) <= TEXT_LIMIT else f"{value[:TEXT_LIMIT]}… ({len(value)} characters)"
