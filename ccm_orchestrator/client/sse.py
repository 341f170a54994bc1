"""Server-sent events, as they come in pieces."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Frame:
    event: str
    """Its kind; `message` when it names none."""
    data: str
    id: str | None
    """Where to go on after it: its own id, or that of the frame before."""

    def json(self) -> Any:
        return json.loads(self.data)


class FrameReader:
    """Not by `str.splitlines`: JSON may contain U+2028 and its like, which end no line here."""

    def __init__(self, last_id: str | None = None) -> None:
        self.last_id = last_id
        """Of what came whole: a frame that was cut off after its id is asked for again."""
        self.retry_s: float | None = None
        """How long the server wants clients to wait before they come back."""
        self._rest = b""
        self._id = last_id
        self._event = ""
        self._data: list[str] = []

    def feed(self, chunk: bytes) -> Iterator[Frame]:
        """The frames that are whole now."""
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        for line in lines:
            frame = self._take(line.removesuffix(b"\r").decode("utf-8", "replace"))
            if frame is not None:
                yield frame

    def _take(self, line: str) -> Frame | None:
        if not line:
            return self._finish()
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        match name:
            case "event":
                self._event = value
            case "data":
                self._data.append(value)
            case "id":
                self._id = value
            case "retry" if value.isascii() and value.isdigit():
                self.retry_s = int(value) / 1000
        return None

    def _finish(self) -> Frame | None:
        event, data = self._event or "message", self._data
        self._event, self._data = "", []
        self.last_id = self._id
        return Frame(event, "\n".join(data), self.last_id) if data else None
