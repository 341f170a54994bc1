"""Patterns of rules: `*` and `?` are special, and a backslash takes the next character as it is.

Matching takes the leftmost place for each piece between two stars, which finds a match whenever there is one, in time
that grows with the text and not with the number of stars.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence

_SPECIAL = re.compile(r"[\\*?]")
_TOKEN = re.compile(r"\\.|\*+|.", re.DOTALL)
ANY_DIRECTORIES = "**"


def literal(text: str) -> str:
    """The pattern that only this text matches."""
    return _SPECIAL.sub(r"\\\g<0>", text)


def is_literal(pattern: str) -> bool:
    return not any(token[0] in "*?" for token in _TOKEN.findall(pattern))


def text_matches(pattern: str, text: str) -> bool:
    """`*` is any text; ` *` at the end may also be missing: `git status *` is `git status`, too."""
    if pattern.endswith(" *") and text_matches(pattern[:-2], text):
        return True
    (first, *middle), last = _pieces(pattern)
    if last is None:
        return first.fullmatch(text) is not None
    found = first.match(text)
    for piece in middle:
        found = found and piece.search(text, found.end())
    ending = last.search(text, found.end()) if found else None
    return ending is not None


def path_matches(pattern: str, path: str) -> bool:
    """`*` and `?` stay within one directory; `**`, alone between two slashes, goes through any number of them."""
    wanted, given = pattern.split("/"), path.split("/")
    runs = _runs(wanted)
    if len(runs) == 1:
        return len(wanted) == len(given) and _fits(wanted, given, 0)
    first, *middle, last = runs
    if not _fits(first, given, 0):
        return False
    position = len(first)
    for run in middle:
        starts = range(position, len(given) - len(run) + 1)
        start = next((start for start in starts if _fits(run, given, start)), None)
        if start is None:
            return False
        position = start + len(run)
    return len(given) - len(last) >= position and _fits(last, given, len(given) - len(last))


def _fits(names: Sequence[str], given: Sequence[str], start: int) -> bool:
    there = given[start : start + len(names)]
    return len(there) == len(names) and all(map(text_matches, names, there))


def _runs(wanted: Sequence[str]) -> list[list[str]]:
    """The names between one `**` and the next."""
    runs: list[list[str]] = [[]]
    for name in wanted:
        if name == ANY_DIRECTORIES:
            runs.append([])
        else:
            runs[-1].append(name)
    return runs


@functools.lru_cache(maxsize=1024)
def _pieces(pattern: str) -> tuple[Sequence[re.Pattern[str]], re.Pattern[str] | None]:
    """The texts between the stars, and the one after the last star (None: there is no star)."""
    pieces: list[str] = [""]
    for token in _TOKEN.findall(pattern):
        if token[0] == "*":
            pieces.append("")
        else:
            pieces[-1] += "." if token == "?" else re.escape(token[-1])
    if len(pieces) == 1:
        return [re.compile(pieces[0], re.DOTALL)], None
    return [re.compile(piece, re.DOTALL) for piece in pieces[:-1]], re.compile(pieces[-1] + r"\Z", re.DOTALL)
