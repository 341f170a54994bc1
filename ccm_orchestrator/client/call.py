"""A request as a value: what to send, and how to read the answer. Whoever carries it out may block or await."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Generic, TypeVar

from ccm_orchestrator.client.decoding import decode

Answer = TypeVar("Answer")
Item = TypeVar("Item")
MARGIN_S = 30.0
"""How much longer than the daemon was asked to wait the client waits for its answer."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What of an answer is read."""

    document: Any
    """Its JSON; None when there is no body."""
    next: str | None = None
    """Where the list goes on, as path and query; None at the end, and for what is no list."""


@dataclass(frozen=True, slots=True)
class Call(Generic[Answer]):
    method: str
    path: str
    read: Callable[[Reply], Answer] = field(repr=False)
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


def get(path: str, read: Callable[[Reply], Answer], **query: object) -> Call[Answer]:
    return Call("GET", path, read, _given(query), repeatable=True)


def post(path: str, read: Callable[[Reply], Answer], body: object = None) -> Call[Answer]:
    return Call("POST", path, read, body=body)


def patch(path: str, read: Callable[[Reply], Answer], body: object) -> Call[Answer]:
    """Saying twice how a thing is to be changes nothing more."""
    return Call("PATCH", path, read, body=body, repeatable=True)


def once(call: Call[Answer], idempotency_key: str | None) -> Call[Answer]:
    """Repeatable by its Idempotency-Key: that of the caller, or one of its own."""
    headers = {**call.headers, "Idempotency-Key": idempotency_key or uuid.uuid4().hex}
    return replace(call, headers=headers, repeatable=True)


def delete(path: str) -> Call[None]:
    return Call("DELETE", path, nothing)


def paged(path: str, kind: type[Item], /, **query: object) -> Call[Page[Item]]:
    """A list that may grow."""

    def read(reply: Reply) -> Page[Item]:
        found = reply.document
        if isinstance(found, dict):
            found = found["sessions"] if "sessions" in found else found["items"]
        upcoming = None if reply.next is None else get(reply.next, read)
        return Page(tuple(decode(kind, item) for item in found), upcoming)

    return get(path, read, **query)


def one(kind: type[Answer]) -> Callable[[Reply], Answer]:
    return lambda reply: decode(kind, reply.document)


def many(kind: type[Answer]) -> Callable[[Reply], tuple[Answer, ...]]:
    return lambda reply: tuple(decode(kind, item) for item in reply.document)


def nothing(_reply: Reply) -> None:
    """The answer has no content."""


def encoded(body: object) -> bytes | None:
    """JSON. A half of a surrogate pair, which is no text, becomes an escape that the API refuses in its own words."""
    return None if body is None else json.dumps(body, separators=(",", ":")).encode()


def _given(query: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in query.items() if value is not None}


def as_it_came(reply: Reply) -> Any:
    return reply.document
