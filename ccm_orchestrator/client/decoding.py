"""From JSON to dataclasses, by their annotations.

What a newer daemon says beyond what is known here is left out, and a word that is no member of an enum stays a plain
string: a client of last month goes on working.
"""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Callable, Hashable, Mapping, Sequence
from datetime import datetime
from enum import Enum
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from ccm_orchestrator.client.failures import UnexpectedAnswer

T = TypeVar("T")
Reader = Callable[[Any], Any]


def decode(kind: type[T], document: object) -> T:
    """Raises: UnexpectedAnswer."""
    try:
        decoded: T = _reader(cast("Hashable", kind))(document)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UnexpectedAnswer(
            f"The daemon's answer is no {kind.__name__} as this version knows it ({error!r}): "
            "use the same version of ccm-orchestrator on both sides."
        ) from error
    return decoded


@cache
def _reader(kind: Any) -> Reader:
    if dataclasses.is_dataclass(kind):
        return _of_dataclass(kind)
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        inner = next(each for each in arguments if each is not type(None))  # of `TaskStatus | str` the first
        return _optional(_reader(inner))
    if origin in (tuple, list):
        return _several(_reader(arguments[0]), origin)
    if origin in (dict, Mapping):
        return _named(_reader(arguments[1]))
    return _SCALARS.get(kind) or (_word(kind) if isinstance(kind, type) and issubclass(kind, Enum) else _as_it_is)


def _of_dataclass(kind: Any) -> Reader:
    hints = get_type_hints(kind)
    required = {field.name for field in dataclasses.fields(kind) if _is_required(field)}
    readers: dict[str, Reader] = {}

    def read(document: Any) -> Any:
        if not readers:  # now and not before, so that a class may mention itself
            readers.update({field.name: _reader(hints[field.name]) for field in dataclasses.fields(kind)})
        known = {name: reader(document[name]) for name, reader in readers.items() if name in document}
        if missing := required - known.keys():
            raise KeyError(*sorted(missing))
        return kind(**known)

    return read


def _is_required(field: dataclasses.Field[Any]) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def _optional(read: Reader) -> Reader:
    return lambda value: None if value is None else read(value)


def _several(read: Reader, collection: Callable[[Sequence[Any]], Any]) -> Reader:
    return lambda values: collection([read(value) for value in values])


def _named(read: Reader) -> Reader:
    return lambda values: {name: read(value) for name, value in values.items()}


def _word(kind: type[Enum]) -> Reader:
    members = {member.value: member for member in kind}
    return lambda word: members.get(word, word)


def _as_it_is(value: Any) -> Any:
    return value


def _moment(value: str) -> datetime:
    return datetime.fromisoformat(value)


_SCALARS: Mapping[Any, Reader] = {datetime: _moment, Path: Path, float: float}
