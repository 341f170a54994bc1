"""Permission requests told apart: a stable id, a line that tells a person what is asked, the proof on a screen."""

from __future__ import annotations

import hashlib
import itertools
import json
import re
from collections.abc import Mapping, Sequence

ID_PREFIX = "perm-"
"""No agent's name and no run id begins so."""
SUBJECT_FIELDS = ("command", "file_path", "notebook_path", "url", "pattern", "query", "skill", "plan", "prompt")
SUBJECT_LENGTH = 200
DECISIVE_FIELDS = ("command", "url")
_RULE = re.compile(r"^\s*[\u2500\u2501]{20,}\s*$", re.MULTILINE)
"""A line across the screen: what a person is asked stands below the last one."""


def request_id(run_id: str, asked_by: object, tool_name: str, tool_input: Mapping[str, object], repetition: int) -> str:
    """The same question of the same run has the same id, also after a restart.

    `asked_by` tells sub-agents apart. `repetition` counts earlier askings that were answered: an agent may ask the same
    thing again.
    """
    asked = [asked_by, tool_name, dict(tool_input)]
    text = json.dumps([run_id, asked, repetition], sort_keys=True, separators=(",", ":"))
    return f"{ID_PREFIX}{hashlib.sha256(text.encode('utf-8', 'surrogatepass')).hexdigest()[:24]}"


def call_digest(tool_name: str, tool_input: Mapping[str, object]) -> str:
    """Tells calls of a tool apart: the same tool with the same input has the same one."""
    text = json.dumps([tool_name, dict(tool_input)], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def subject(tool_input: Mapping[str, object]) -> str:
    """What a tool is to work on, in at most 200 characters of one line; empty when its input names nothing."""
    texts = [value for key in SUBJECT_FIELDS if isinstance(value := tool_input.get(key), str)]
    texts += [value for value in tool_input.values() if isinstance(value, str)]
    line = " ".join(next((text for text in texts if text.strip()), "").split())
    return line if len(line) <= SUBJECT_LENGTH else line[: SUBJECT_LENGTH - 1] + "…"


def screen_shows(screen: str, tool_input: Mapping[str, object]) -> bool:
    """Whether a dialog on the screen asks about this very input, whole and nothing more; wrapping does not count.

    Only inputs that one text decides about can be told so: of an edit, a dialog shows no more than a part.
    """
    wanted = _squeezed(next((text for key in DECISIVE_FIELDS if isinstance(text := tool_input.get(key), str)), ""))
    comment = _squeezed(str(tool_input.get("description", "")))
    lines = [_squeezed(line) for line in _RULE.split(screen)[-1].splitlines()]
    return bool(wanted) and any(_spells(lines[start:], wanted, comment) for start in range(len(lines)))


def _spells(lines: Sequence[str], wanted: str, comment: str) -> bool:
    """The first few lines, joined, are the text, and after them comes a gap, or the comment on it."""
    lengths = itertools.accumulate(len(line) for line in lines)
    count = next((number for number, length in enumerate(lengths, 1) if length >= len(wanted)), len(lines))
    following = "".join(lines[count : count + 1])
    return bool(lines[0]) and "".join(lines[:count]) == wanted and comment.startswith(following)


def _squeezed(text: str) -> str:
    return re.sub(r"[\s\u2500-\u257f]+", "", text)
