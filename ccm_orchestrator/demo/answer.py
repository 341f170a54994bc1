"""One message of the model, made from a turn of a scenario by filling in its placeholders."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ccm_orchestrator.demo.scenario import ApiError, Turn, Usage

_PLACEHOLDER = re.compile(r"\{(?P<name>[a-z_]+)\}")

Values = Mapping[str, str]


class PromptError(Exception):
    """A `[scenario:…]` tag in a prompt that no scenario can follow; sent to the client as an API error."""


@dataclass(frozen=True)
class Answer:
    """One message of the model, all placeholders filled in."""

    text: str
    thinking: str = ""
    tools: tuple[tuple[str, dict[str, Any]], ...] = ()
    delay_s: float = 0.0
    thinking_s: float = 0.0
    text_s: float = 0.0
    usage: Mapping[str, int] = field(default_factory=lambda: {name: int(value) for name, value in Usage()})
    stop_reason: str = "end_turn"


def fill_turn(turn: Turn, values: Values, asides: Sequence[str]) -> Answer:
    default_stop = "tool_use" if turn.tool else "end_turn"
    noted = [f"You said meanwhile: {aside}" for aside in asides]
    return Answer(
        text="\n\n".join([*noted, *([_fill(turn.say, values)] if turn.say else [])]),
        thinking=_fill(turn.thinking or "", values),
        tools=tuple((tool.name, _fill(tool.input, values)) for tool in turn.tool),
        delay_s=number_of(turn.delay_s, values),
        thinking_s=number_of(turn.thinking_s, values),
        text_s=number_of(turn.say_s, values),
        usage={name: int(number_of(value, values)) for name, value in turn.usage},
        stop_reason=turn.stop_reason or default_stop,
    )


def fill_error(error: ApiError | None, values: Values) -> ApiError | None:
    if error is None:
        return None
    waits = {name: getattr(error, name) for name in ("retry_after_s", "limit_resets_in_s")}
    numbers = {name: None if wait is None else number_of(wait, values) for name, wait in waits.items()}
    return error.model_copy(update={"message": _fill(error.message, values), **numbers})


def _fill(template: Any, values: Values) -> Any:
    if isinstance(template, str):
        return _PLACEHOLDER.sub(lambda match: values.get(match["name"], match[0]), template)
    if isinstance(template, dict):
        return {key: _fill(value, values) for key, value in template.items()}
    if isinstance(template, list):
        return [_fill(value, values) for value in template]
    return template


def number_of(value: float | str, values: Values) -> float:
    """Raises PromptError when a parameter that counts or measures something is no finite number from 0."""
    text = _fill(value, values)
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not (math.isfinite(number) and number >= 0):
        raise PromptError(f"{value} must be a number from 0, not {text!r}")
    return number
