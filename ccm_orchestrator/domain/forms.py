"""Forms of MCP servers: typed values out of what a person wrote."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from ccm_orchestrator.errors import InputError

_TRUTH = {"true": True, "yes": True, "false": False, "no": False}
_READ: Mapping[str, Callable[[str], object]] = {
    "integer": int,
    "number": lambda text: _finite(float(text)),
    "boolean": lambda text: _TRUTH[text.strip().lower()],
}


def content(schema: object, answers: Mapping[str, str]) -> dict[str, object]:
    """The values of a form, by field. Raises: InputError."""
    fields = schema.get("properties") if isinstance(schema, Mapping) else None
    wanted = schema.get("required") if isinstance(schema, Mapping) else None
    required = wanted if isinstance(wanted, list) else []
    known: Mapping[str, Any] = fields if isinstance(fields, Mapping) else {}
    if unknown := [name for name in answers if name not in known]:
        raise InputError(f"The form has no field {unknown[0]!r}; it has {', '.join(map(repr, known)) or 'none'}.")
    if missing := [name for name in required if name not in answers]:
        raise InputError(f"The answer to {missing[0]!r} is missing.")
    return {name: _value(name, known[name], text) for name, text in answers.items()}


def _finite(number: float) -> float:
    """Raises: ValueError."""
    if not math.isfinite(number):
        raise ValueError("no number of JSON")
    return number


def _value(name: str, field: object, text: str) -> object:
    kind = field.get("type") if isinstance(field, Mapping) else None
    choices = field.get("enum") if isinstance(field, Mapping) else None
    if isinstance(choices, list) and text not in choices:
        raise InputError(f"Expected {name!r} to be one of {', '.join(map(repr, choices))}, got: {text!r}.")
    try:
        return _READ.get(str(kind), str)(text)
    except (ValueError, KeyError):
        raise InputError(f"Expected {name!r} to be of the type {kind}, got: {text!r}.") from None
