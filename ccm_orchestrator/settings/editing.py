"""Changing one value in a configuration file, leaving everything else in it as its author wrote it."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Sequence
from typing import Any

_HEADER = re.compile(r"^\s*\[")


def parse_value(text: str) -> object:
    """As TOML where it is TOML (`5`, `true`, `["a"]`), else as the text itself."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def with_value(document: str, path: Sequence[str], value: object) -> str:
    """The document with that value. Raises: ValueError when it is written in a way that only a person can change."""
    lines = document.splitlines()
    start, end = _region(lines, path[:-1])
    if start is None:
        gap = [""] if lines and lines[-1].strip() else []
        changed = [*lines, *gap, f"[{'.'.join(path[:-1])}]", f"{path[-1]} = {_written(value)}"]
    else:
        changed = _in_region(lines, start, end, path[-1], _written(value))
    result = "\n".join(changed) + "\n"
    if tomllib.loads(result) != _expected(tomllib.loads(document), path, value):
        raise ValueError("the value is spread over several lines")
    return result


def _region(lines: Sequence[str], table: Sequence[str]) -> tuple[int | None, int]:
    """First line after the table's header, and the line after its last; None when there is no such header."""
    headers = [number for number, line in enumerate(lines) if _HEADER.match(line)]
    if not table:
        return 0, headers[0] if headers else len(lines)
    wanted = re.compile(r"^\s*\[\s*" + r"\s*\.\s*".join(f'"?{re.escape(part)}"?' for part in table) + r"\s*\]")
    for number in headers:
        if wanted.match(lines[number]):
            return number + 1, next((later for later in headers if later > number), len(lines))
    return None, len(lines)


def _in_region(lines: Sequence[str], start: int, end: int, key: str, written: str) -> list[str]:
    assignment = re.compile(rf'^\s*"?{re.escape(key)}"?\s*=')
    for number in range(start, end):
        if assignment.match(lines[number]):
            return [*lines[:number], f"{key} = {written}{_comment(lines[number])}", *lines[number + 1 :]]
    last = end
    while last > start and not lines[last - 1].strip():
        last -= 1
    return [*lines[:last], f"{key} = {written}", *lines[last:]]


def _comment(line: str) -> str:
    """The comment at the end of an assignment, with the space before it."""
    for found in re.finditer("#", line):
        before = line[: found.start()]
        try:
            tomllib.loads(before)
        except tomllib.TOMLDecodeError:
            continue  # that # is inside of a text
        return line[len(before.rstrip()) :]
    return ""


def _written(value: object) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_written, value))}]"
    if isinstance(value, bool | str):
        return json.dumps(value, ensure_ascii=False)
    return str(value)


def _expected(values: dict[str, Any], path: Sequence[str], value: object) -> dict[str, Any]:
    here = values
    for part in path[:-1]:
        here = here.setdefault(part, {})
        if not isinstance(here, dict):
            raise ValueError(f"`{part}` is not a table")
    here[path[-1]] = value
    return values
