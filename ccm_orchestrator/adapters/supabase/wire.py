"""Values as they travel to Postgres and back.

Postgres keeps no NUL character, and UTF-8 has no half characters; prompts and an agent's words may hold both. A NUL
travels as a mark that people see as ␀, and comes back as it was; half a character becomes a question mark. JSON has no
infinite number: a limit of that size is none.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import datetime
from pathlib import PurePath
from typing import Any

_MARK = "\ufdd0"
"""A code point that Unicode keeps free for such use: no text that is exchanged has it."""
_NUL = _MARK + "␀"
_TRAVELS_MARKED = re.compile(f"[\0{_MARK}]")
_MARK_BYTES = _MARK.encode()
_MARKED = re.compile(f"{_MARK}([{_MARK}␀])")


def outbound(value: Any) -> Any:
    """As JSON holds it; done once, by the client. Raises: TypeError for what has no JSON form."""
    match value:
        case str():
            return _outbound_text(str(value))
        case None | bool() | int():
            return value
        case float():
            return value if math.isfinite(value) else None
        case datetime():
            return value.isoformat(timespec="microseconds")
        case bytes():
            return _outbound_text(value.decode("utf-8", "replace"))
        case PurePath():
            return _outbound_text(str(value))
        case Mapping():
            return {_outbound_text(str(key)): outbound(inner) for key, inner in value.items()}
        case set() | frozenset():
            return [outbound(inner) for inner in sorted(value)]
        case list() | tuple():
            return [outbound(inner) for inner in value]
        case _:
            raise TypeError(f"{type(value).__name__} has no JSON form")


def is_marked(body: bytes) -> bool:
    """Whether a reply in JSON may hold a mark. Most hold none, and to walk through ten tasks takes 0.5 ms."""
    return _MARK_BYTES in body or rb"\u" in body


def inbound(value: Any) -> Any:
    """Of a parsed reply, with every text as it was sent."""
    match value:
        case str():
            return _MARKED.sub(_unmarked, value) if _MARK in value else value
        case list():
            return [inbound(inner) for inner in value]
        case dict():
            return {inbound(key): inbound(inner) for key, inner in value.items()}
        case _:
            return value


def _outbound_text(text: str) -> str:
    if text.isascii() and "\0" not in text:
        return text
    whole = text.encode("utf-8", "replace").decode()
    return _TRAVELS_MARKED.sub(lambda found: _NUL if found[0] == "\0" else _MARK * 2, whole)


def _unmarked(found: re.Match[str]) -> str:
    return "\0" if found[1] == "␀" else _MARK
