"""Streams of sessions as a client reads them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Frame:
    """One server-sent event."""

    id: str | None
    event: str
    data: dict[str, Any]

    @property
    def line(self) -> dict[str, Any]:
        """What the agent wrote, of an `output`."""
        written: dict[str, Any] = json.loads(self.data["data"])
        return written


def frames(lines: Iterable[str]) -> Iterator[Frame]:
    """Comments and what only says when to reconnect are left out."""
    fields: dict[str, str] = {}
    for line in lines:
        if line:
            name, _, value = line.partition(": ")
            fields[name] = value
        elif fields:
            if "data" in fields:
                yield Frame(fields.get("id"), fields["event"], json.loads(fields["data"]))
            fields = {}
