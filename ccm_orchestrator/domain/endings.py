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

_ERROR_AT_END = re.compile(r"(?:^|\s)(?:\*\*|`)?\[ERROR\](?:\*\*|`)?[ \t]*([^\n]*)\s*\Z")
_DONE_AT_END = re.compile(r"(?:^|\s)(?:\*\*|`)?\[DONE\](?:\*\*|`)?[.!]?\s*\Z")


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
    done = _DONE_AT_END.search(message)
    if done:
        return Marker(MarkerKind.DONE, message[: done.start()].rstrip())
    error = _ERROR_AT_END.search(message)
    if error:
        return Marker(MarkerKind.ERROR, message[: error.start()].rstrip(), error[1].strip())
    return Marker(MarkerKind.NONE, message)
