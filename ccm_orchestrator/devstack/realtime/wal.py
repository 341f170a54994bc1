"""A change as the plugin wal2json (format 2) tells it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

EVENTS = {"I": "INSERT", "U": "UPDATE", "D": "DELETE"}

Texts = Mapping[str, str | None]
"""Values of columns, as Postgres writes them."""


@dataclass(frozen=True)
class Change:
    text: str
    """The whole JSON, untouched."""
    event: str
    schema: str
    table: str
    new: Texts
    """A large value that did not change is missing."""
    old: Texts
    """What the replica identity tells: the primary key, or all columns."""
    primary_key: tuple[str, ...]

    @cached_property
    def seen_by_filters(self) -> Texts:
        return self.old if self.event == "DELETE" else self.new


def read_change(text: str) -> Change | None:
    """None: it is something else, such as a message that somebody put into the log."""
    wal = json.loads(text, parse_float=str, parse_int=str)  # numbers stay what they are, however long
    if wal["action"] not in EVENTS:
        return None
    return Change(
        text,
        EVENTS[wal["action"]],
        wal["schema"],
        wal["table"],
        _texts(wal.get("columns", [])),
        _texts(wal.get("identity", [])),
        tuple(column["name"] for column in wal.get("pk", [])),
    )


def _texts(columns: list[dict[str, object]]) -> dict[str, str | None]:
    return {str(column["name"]): _text(column["value"]) for column in columns}


def _text(value: object) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value)  # a boolean
