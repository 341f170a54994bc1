"""The end marker: the last line of an agent's last message, when its profile asks for one."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

DONE = "[DONE]"
ERROR = "[ERROR]"

INSTRUCTION = (
    f"When the task is finished, end your last message with a line that says {DONE}. "
    f"When you cannot finish it, end your last message with a line that says {ERROR} and the reason."
)
"""Appended to the system prompt of profiles with `end_marker`."""

_LAST_LINE = re.compile(r"(?:^|\n)[ \t]*(?:\*\*|`)?\[(DONE|ERROR)\](?:\*\*|`)?[ \t]*([^\n]*)\s*\Z")
_DONE_AT_END = re.compile(r"\[DONE\](?:\*\*|`)?[.!]?\s*\Z")


class MarkerKind(StrEnum):
    NONE = "none"
    DONE = "done"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Marker:
    kind: MarkerKind
    text: str
    """The message without its marker."""
    reason: str = ""


def read_marker(message: str) -> Marker:
    """Only the end counts: a message that merely mentions `[DONE]` has no marker."""
    found = _LAST_LINE.search(message)
    if found and found[1] == "ERROR":
        return Marker(MarkerKind.ERROR, message[: found.start()].rstrip(), found[2].strip())
    if found and not found[2].strip(" .!"):
        return Marker(MarkerKind.DONE, message[: found.start()].rstrip())
    at_end = _DONE_AT_END.search(message)
    if at_end:
        return Marker(MarkerKind.DONE, message[: at_end.start()].rstrip())
    return Marker(MarkerKind.NONE, message)
