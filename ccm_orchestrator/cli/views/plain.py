"""Foreign text on a person's terminal: agents, prompts and repositories must not be able to send it commands."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from rich.text import Text

_ESCAPE_SEQUENCES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|[\]PX^_].*?(?:\x07|\x1b\\|$)|[@-_])", re.S)
_RULES = re.compile(r"[\u2500-\u257f]{20,}")
_CONTROLS = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f"
    r"\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # marks of direction
    r"\xad\u180e\u200b\u2060-\u2065\u206a-\u206f\ufeff\ufff9-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
    r"\U000e0000-\U000e00ff\U000e01f0-\U000e0fff]"  # tags, in which whole texts can be hidden
)
_SEPARATORS = re.compile("[\u2028\u2029]")
_SELECTORS = "\u180b-\u180d\u180f\ufe00-\ufe0f\U000e0100-\U000e01ef"
_LOOSE_JOINERS = re.compile(
    rf"(?<![^\x00-\x7f])[\u200c\u200d]|[\u200c\u200d](?![^\x00-\x7f\u200c\u200d{_SELECTORS}])"
    rf"|(?<=[{_SELECTORS}])[{_SELECTORS}]"
)
"""Emoji and scripts need one between two of their characters, and one selector of a form behind a character."""


def plain(text: object) -> str:
    """Without escape sequences, control characters (newline and tab stay), marks that reverse the direction, and what
    nobody sees. Where a person is to approve what they read, `one_line` is the right one."""
    cleaned = _CONTROLS.sub("", _ESCAPE_SEQUENCES.sub("", str(text)))
    cleaned = _LOOSE_JOINERS.sub("", _SEPARATORS.sub(" ", cleaned))
    return cleaned.encode("utf-8", "replace").decode()


def one_line(value: object) -> str:
    """With escapes in the place of what is no printable character, so that different names look different."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in str(value))


def narrowed(screen: str, width: int) -> str:
    """Its horizontal lines shortened, so that fewer of its rows are wrapped; words are kept whole."""
    return "\n".join(_narrowed(line, len(line) - width) for line in screen.split("\n"))


def _narrowed(line: str, excess: int) -> str:
    rules = _RULES.findall(line) if excess > 0 else []
    if not rules:
        return line
    longest = max(rules, key=len)
    return line.replace(longest, longest[: max(4, len(longest) - excess)], 1)


def text(value: object, style: str = "") -> Text:
    """Printed as it is: no markup, no emoji names."""
    return Text(plain(value), style=style)


def duration(seconds: float) -> str:
    """`0.8 s`, `7 s`, `42 s`, `3 min 5 s`, `2 h 10 min`, `3 d 4 h`."""
    if seconds < 10:
        return f"{seconds:.1f} s".replace(".0 ", " ")
    whole = round(seconds)
    for unit, size, smaller, smaller_size in (("d", 86400, "h", 3600), ("h", 3600, "min", 60), ("min", 60, "s", 1)):
        if whole >= size:
            rest = whole % size // smaller_size
            return f"{whole // size} {unit} {rest} {smaller}" if rest else f"{whole // size} {unit}"
    return f"{whole} s"


def ago(timestamp: str | None, now: datetime | None = None) -> str:
    """`3 min ago`, `in 2 h`; empty for None."""
    if timestamp is None:
        return ""
    age_s = ((now or datetime.now(UTC)) - datetime.fromisoformat(timestamp)).total_seconds()
    unit_s = 1 if abs(age_s) < 60 else 60 if abs(age_s) < 86400 else 3600
    rounded_s = abs(age_s) // unit_s * unit_s
    return f"{duration(rounded_s)} ago" if age_s >= 0 else f"in {duration(rounded_s)}"


def number(value: int) -> str:
    """`12 345`"""
    return f"{value:,}".replace(",", " ")


def dollars(value: float | None) -> str:
    if value is None:
        return "unknown"
    return f"${value:.2f}" if value >= 1 else f"${value:.4f}"
