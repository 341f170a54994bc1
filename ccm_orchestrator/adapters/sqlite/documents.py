"""Values as they stand in columns: times as text, nested values as JSON, everything as UTF-8."""

from __future__ import annotations

import json
from collections.abc import Hashable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import PurePath
from typing import TYPE_CHECKING, Generic, TypeVar, cast

from pydantic import TypeAdapter, ValidationError

from ccm_orchestrator.errors import StoreError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

T = TypeVar("T")


def storable(text: str) -> str:
    """Half characters, which an agent's JSON may hold and UTF-8 cannot, become question marks."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def document(value: DataclassInstance) -> str:
    return json_text(asdict(value))


def json_text(value: object) -> str:
    return storable(_ENCODER.encode(value))


@dataclass(frozen=True, slots=True)
class Stored(Generic[T]):
    """A type whose values stand in columns. How to read them is worked out at the first of them, not at the import: a
    daemon's start would wait for it."""

    kind: type[T]


@cache
def _adapter(kind: type[T]) -> TypeAdapter[T]:
    return TypeAdapter(kind)


def read_document(stored: Stored[T], text: str) -> T:
    """Raises: StoreError."""
    try:
        found: T = _adapter(cast("Hashable", stored.kind)).validate_json(text)
    except ValidationError as error:
        raise StoreError(f"A stored value cannot be read ({error.errors()[0]['msg']}): {text[:200]!r}.") from error
    return found


def time_text(moment: datetime) -> str:
    """Of fixed length, so that text compares as time does."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def optional_time_text(moment: datetime | None) -> str | None:
    return None if moment is None else time_text(moment)


def read_time(text: str) -> datetime:
    """Any ISO 8601 form, UTC unless it names a zone. Raises: ValueError."""
    moment = datetime.fromisoformat(text)
    try:
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except OverflowError as error:
        raise ValueError(f"{text} is out of range") from error


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return time_text(value)
    if isinstance(value, PurePath):
        return str(value)
    if isinstance(value, frozenset | set):
        return sorted(value)
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    raise TypeError(f"{type(value).__name__} has no JSON form")


_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), default=_plain)
