"""Permission requests told apart: a stable id, a line that tells a person what is asked, the proof on a screen."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping

ID_PREFIX = "perm-"
"""No agent's name and no run id begins so."""
SUBJECT_FIELDS = ("command", "file_path", "notebook_path", "url", "pattern", "query", "skill", "plan", "prompt")
SUBJECT_LENGTH = 200
SHOWN_LENGTH = 20
"""Letters and digits of a subject that a screen must show: the rest may be cut off or wrapped."""


def request_id(run_id: str, payload: Mapping[str, object], repetition: int) -> str:
    """The same question of the same run has the same id, also after a restart.

    `repetition` counts earlier askings that were answered: an agent may ask the same thing again.
    """
    asked = [payload.get(key) for key in ("agent_id", "tool_name", "tool_input")]
    text = json.dumps([run_id, asked, repetition], sort_keys=True, separators=(",", ":"))
    return f"{ID_PREFIX}{hashlib.sha256(text.encode('utf-8', 'surrogatepass')).hexdigest()[:24]}"


def subject(tool_input: Mapping[str, object]) -> str:
    """What a tool is to work on, in at most 200 characters of one line; empty when its input names nothing."""
    texts = [value for key in SUBJECT_FIELDS if isinstance(value := tool_input.get(key), str)]
    texts += [value for value in tool_input.values() if isinstance(value, str)]
    line = " ".join(next((text for text in texts if text.strip()), "").split())
    return line if len(line) <= SUBJECT_LENGTH else line[: SUBJECT_LENGTH - 1] + "…"


def screen_shows(screen: str, tool_input: Mapping[str, object]) -> bool:
    """Whether the screen shows this very question: layout, frames and wrapping do not count."""
    shown = _letters(screen)
    texts = [value for value in tool_input.values() if isinstance(value, str)]
    wanted = [_letters(text.rsplit("/", 1)[-1])[:SHOWN_LENGTH] for text in texts]
    return any(len(part) >= 2 and part in shown for part in wanted)


def _letters(text: str) -> str:
    return re.sub(r"[\W_]+", "", text)
