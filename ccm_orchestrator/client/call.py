"""A request as a value: what to send, and how to read the answer. Whoever carries it out may block or await."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Generic, TypeVar
from urllib.parse import quote

from ccm_orchestrator.client.decoding import decode
from ccm_orchestrator.errors import InputError

Answer = TypeVar("Answer")
Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Call(Generic[Answer]):
    method: str
    path: str
    read: Callable[[Any], Answer] = field(repr=False)
    """Makes the answer from its JSON, or from None when there is no body."""
    query: Mapping[str, object] = field(default_factory=dict)
    """Without those that are None."""
    body: object = field(default=None, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    repeatable: bool = False
    """Sending it twice does no more than sending it once."""
    patience_s: float | None = None
    """How long the answer may take; None: as the client says."""
    also: frozenset[int] = frozenset()
    """Statuses beside 2xx that are no refusals."""

    def raw(self) -> Call[Any]:
        """The same, answered by the JSON as it came."""
        call: Call[Any] = self
        return replace(call, read=as_it_came)


@dataclass(frozen=True, slots=True)
class Page(Generic[Item]):
    """A part of a list."""

    items: tuple[Item, ...]
    next: Call[Page[Item]] | None
    """What asks for the following part; None at the end."""

    def __iter__(self) -> Iterator[Item]:
        return iter(self.items)


def get(path: str, read: Callable[[Any], Answer], **query: object) -> Call[Answer]:
    return Call("GET", path, read, _given(query), repeatable=True)


def post(path: str, read: Callable[[Any], Answer], body: object = None) -> Call[Answer]:
    return Call("POST", path, read, body=body)


def delete(path: str) -> Call[None]:
    return Call("DELETE", path, nothing)


def paged(path: str, kind: type[Item], cursor: str, **query: object) -> Call[Page[Item]]:
    """A list that is read on by `cursor`: its pages say `next_…`, which the next request gives back as `…`."""

    def read(document: Any) -> Page[Item]:
        items = tuple(decode(kind, item) for item in document["items"])
        upcoming = document[f"next_{cursor}"]
        at_end = upcoming is None or not items
        return Page(items, None if at_end else replace(call, query={**call.query, cursor: upcoming}))

    call = get(path, read, **query)
    return call


def one(kind: type[Answer]) -> Callable[[Any], Answer]:
    return lambda document: decode(kind, document)


def many(kind: type[Answer]) -> Callable[[Any], tuple[Answer, ...]]:
    return lambda document: tuple(decode(kind, item) for item in document)


def nothing(_document: object) -> None:
    """The answer has no content."""


def path(template: str, *names: str) -> str:
    """Raises: InputError when a name cannot stand in a path."""
    return template.format(*map(segment, names))


def segment(ref: str) -> str:
    """What a person typed, as one part of a path. Raises: InputError."""
    if ref in ("", ".", "..") or "/" in ref:
        raise InputError(f"Expected an id or a name, got: {ref!r}.")
    return quote(ref, safe="")


def encoded(body: object) -> bytes | None:
    """JSON. A half of a surrogate pair, which is no text, becomes an escape that the API refuses in its own words."""
    return None if body is None else json.dumps(body, separators=(",", ":")).encode()


def _given(query: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in query.items() if value is not None}


def as_it_came(document: Any) -> Any:
    return document
