"""Command lines as far as rules must understand them: which simple commands they are made of.

A rule that allows must not be talked into more than it says, so whatever is not understood beyond doubt is refused.
A rule that denies, or asks, looks everywhere.
"""

from __future__ import annotations

import re

_HARMLESS = re.compile(r"(?:&>|\d?>) ?/dev/null(?=[\s;&|]|\Z)|\d?>&\d(?=[\s;&|]|\Z)")
"""Redirections that write no file."""
_SEPARATOR = re.compile(r"&&|\|\||\|&|[;&|\n]")
_UNCLEAR = frozenset("$`<>()")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
_BREAK = re.compile(r"[;&|\n(){}<>`$]+")
_BREAK_AND_QUOTE = re.compile(r"[;&|\n(){}<>`$\"']+")
_PREFIX = re.compile(r"\A(?:\w+=\S*|!|sudo|command|exec|env|nohup|time|if|then|else|while|until|do)(?:\s+|\Z)")


def simple_commands(line: str) -> tuple[str, ...] | None:
    """The commands that are joined by `&&`, `||`, `;`, `|`, `&` or line breaks; None when there may be more to it.

    That is so with substitutions, redirections, subshells, comments, and quotes that do not end.
    """
    if _CONTROL.search(line):
        return None
    parts, part, position = list[str](), list[str](), 0
    while position < len(line):
        if found := _HARMLESS.match(line, position):
            position = found.end()
            continue
        if found := _SEPARATOR.match(line, position):
            parts.append("".join(part))
            part, position = [], found.end()
            continue
        end = _word_end(line, position)
        if end is None:
            return None
        part.append(line[position:end])
        position = end
    stripped = (text.strip() for text in (*parts, "".join(part)))
    return tuple(text for text in stripped if text) or None


def _word_end(line: str, start: int) -> int | None:
    """Where the character, or the quoted text, that begins here ends; None when it is unclear."""
    char = line[start]
    if char in _UNCLEAR or (char == "#" and (start == 0 or line[start - 1] in " \t\n;&|")):
        return None  # after a comment's sign, quotes mean nothing: the next line would be taken for quoted text
    if char == "\\":
        return start + 2 if start + 1 < len(line) and line[start + 1] != "\n" else None
    if char == "'":
        end = line.find("'", start + 1)
        return end + 1 if end >= 0 else None
    return _double_quoted_end(line, start) if char == '"' else start + 1


def _double_quoted_end(line: str, start: int) -> int | None:
    position = start + 1
    while position < len(line):
        char = line[position]
        if char == '"':
            return position + 1
        if char in "$`":
            return None
        position += 2 if char == "\\" else 1
    return None


def mentioned_commands(line: str) -> frozenset[str]:
    """Everything in the line that may run as a command: also inside quotes and substitutions, and without quotes."""
    pieces = {line, *_BREAK.split(line), *_BREAK_AND_QUOTE.split(line)}
    pieces |= {re.sub(r"[\"'\\]", "", piece) for piece in pieces}
    bare = (" ".join(piece.split()) for piece in pieces)
    return frozenset(text for piece in bare for text in (piece, _without_prefixes(piece)) if text)


def _without_prefixes(text: str) -> str:
    while found := _PREFIX.match(text):
        text = text[found.end() :]
    return text
