"""What a setting may be. Each type carries the words that finish the sentence "expected `key` to be …"."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field


@dataclass(frozen=True, slots=True)
class Expect:
    """What a value of the type is, in the words of error messages and of the documentation."""

    words: str


class Table(BaseModel):
    """A table of the configuration: unknown keys are refused, values never change."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


def _expanded(path: Path) -> Path:
    expanded = path.expanduser()
    if not expanded.is_absolute() or "\0" in str(path):
        raise ValueError("not an absolute path")
    return expanded


def _split(value: object) -> object:
    """An environment variable gives a list as `a,b`, or as JSON."""
    if not isinstance(value, str):
        return value
    if value.lstrip().startswith("["):
        return json.loads(value)
    return [item.strip() for item in value.split(",") if item.strip()]


def _number(value: object) -> object:
    """`true` is no number, though Python thinks so."""
    if isinstance(value, bool):
        raise ValueError("not a number")
    return value


_Number = BeforeValidator(_number)

Positive = Annotated[float, Field(gt=0), _Number, Expect("a positive number")]
PositiveOrZero = Annotated[float, Field(ge=0), _Number, Expect("a positive number, or 0 for none")]
Count = Annotated[int, Field(ge=1), _Number, Expect("a whole number of at least 1")]
CountOrZero = Annotated[int, Field(ge=0), _Number, Expect("a whole number of at least 0")]
Fraction = Annotated[float, Field(ge=0, le=1), _Number, Expect("a number from 0 to 1")]
Port = Annotated[int, Field(ge=1, le=65535), _Number, Expect("a whole number from 1 to 65535")]
Directory = Annotated[Path, AfterValidator(_expanded), Expect("an absolute path (`~` is fine)")]
Text = Annotated[str, Field(min_length=1), Expect("a text that is not empty")]
Name = Annotated[
    str,
    Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$"),
    Expect("a name of 1 to 63 letters, digits, `-`, `_` and `.` that begins with a letter or digit"),
]
SLUG_WORDS = "a name of 1 to 32 letters, digits, `-` and `_` that begins with a letter or digit"
Slug = Annotated[
    str,
    Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,31}$"),
    Expect(SLUG_WORDS),
]
VariableNames = Annotated[
    tuple[Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")], ...],
    BeforeValidator(_split),
    Expect('a list of names of environment variables, such as ["HTTPS_PROXY"]'),
]
Texts = Annotated[tuple[str, ...], BeforeValidator(_split), Expect('a list of texts, such as ["Read", "Bash(git *)"]')]
Argv = Annotated[tuple[str, ...], BeforeValidator(_split), Expect("a list of texts")]
