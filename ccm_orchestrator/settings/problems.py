"""One sentence for everything that can be wrong with the configuration."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator
from types import UnionType
from typing import Any, Union, get_args, get_origin

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from ccm_orchestrator.settings.types import SLUG_WORDS, Expect

ANY_NAME = "NAME"
"""Stands for the name in `profiles.NAME.model`."""


def fields_of(model: type[BaseModel]) -> Iterator[tuple[str, FieldInfo]]:
    """By the name that is written in the file."""
    for name, info in model.model_fields.items():
        yield info.alias or name, info


def nested_model(info: FieldInfo) -> tuple[type[BaseModel], bool] | None:
    """The table that a field holds, and whether it is one of many by name."""
    annotation = info.annotation
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation, False
    if get_origin(annotation) is dict:
        value = get_args(annotation)[1]
        if isinstance(value, type) and issubclass(value, BaseModel):
            return value, True
    return None


def every_key(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, FieldInfo]]:
    """Every key that holds a value: `queue_limit`, `api.port`, `profiles.NAME.model`."""
    for name, info in fields_of(model):
        nested = nested_model(info)
        if nested is None:
            yield prefix + name, info
        else:
            table, named = nested
            yield from every_key(table, f"{prefix}{name}.{ANY_NAME}." if named else f"{prefix}{name}.")


def secret_keys(model: type[BaseModel]) -> frozenset[str]:
    """Keys whose value nobody but the owner may see."""
    return frozenset(key for key, info in every_key(model) if _holds_secret(info.annotation))


def _holds_secret(annotation: Any) -> bool:
    return annotation is SecretStr or any(map(_holds_secret, get_args(annotation)))


def expected(info: FieldInfo) -> str:
    """The words of the field's type."""
    return next(_words(info.metadata, info.annotation), "a text")


def _words(metadata: list[Any], annotation: Any) -> Iterator[str]:
    yield from (item.words for item in metadata if isinstance(item, Expect))
    if get_origin(annotation) in (Union, UnionType):
        for part in get_args(annotation):
            yield from (item.words for item in getattr(part, "__metadata__", ()) if isinstance(item, Expect))


def general(model: type[BaseModel], path: tuple[str, ...]) -> str:
    """`profiles.mine.model` as it stands in `every_key`: `profiles.NAME.model`."""
    named = {name for name, info in fields_of(model) if (nested := nested_model(info)) and nested[1]}
    return ".".join((path[0], ANY_NAME, *path[2:]) if path[0] in named and len(path) > 1 else path)


def suggestion(model: type[BaseModel], path: tuple[str, ...]) -> str:
    """`; did you mean …?` for an unknown key, or nothing."""
    wanted = general(model, path)
    keys = [key for key, _ in every_key(model)]
    tables = sorted({key.split(".")[0] for key in keys if "." in key})
    close = difflib.get_close_matches(wanted, keys + tables, n=1, cutoff=0.7)
    if not close:
        leaf = wanted.rsplit(".", 1)[-1]
        close = [key for key in keys if key.rsplit(".", 1)[-1] == leaf][:1]
    if not close:
        return ""
    concrete = close[0].replace(ANY_NAME, path[1]) if len(path) > 1 else close[0]
    return f"; did you mean `{concrete}`?"


_SECRET_IN_URL = re.compile(r"""(?<=://)[^/\s'"@]+(?=@)|(?<=\S\?)[^\s'"]+""")
"""User and password, and the query."""


def sentence(model: type[BaseModel], error: ErrorDetails, path: tuple[str, ...], where: str) -> str:
    """What is wrong with one value, where it stands, and what is expected instead."""
    key = ".".join(path)
    if error["type"] == "extra_forbidden":
        return f"unknown key `{key}` in {where}{suggestion(model, path)}"
    if error["type"] == "relation":
        return f"{error['msg']}, in {where}"
    if error["loc"][-1] == "[key]":
        return f"expected the name in `{key}` to be {SLUG_WORDS}, in {where}"
    keys = dict(every_key(model))
    name = general(model, path)
    if name in keys:
        got = shown(error["input"]) if keys[name].repr else "(hidden)"
        return f"expected `{key}` to be {expected(keys[name])}, got: {got}, in {where}"
    if any(known.startswith(name + ".") for known in keys):
        got = "a text" if isinstance(error["input"], str) else shown(error["input"])  # often a secret of the table
        return f"expected `{key}` to be a table, got: {got}, in {where}"
    return f"`{key}` cannot be used in {where}: {error['msg']}"


def shown(value: object) -> str:
    """As a person wrote it, cut short, and without what may be secret in an address."""
    text = repr(value) if isinstance(value, str | list | dict | tuple) else str(value)
    text = _SECRET_IN_URL.sub("(hidden)", text) if "://" in text else text
    text = {"True": "true", "False": "false"}.get(text, text)
    return text if len(text) <= 80 else text[:77] + "..."
