"""Which system may take which task. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection

_LABEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")


def suits(meant_for: str | None, wanted: Collection[str], system_id: str, labels: Collection[str]) -> bool:
    """A task that names a system is for that one; any other for every system that has all labels it wants."""
    return meant_for in (None, system_id) and set(labels).issuperset(wanted)


def problem_with_labels(labels: Collection[str]) -> str | None:
    """One sentence saying what is wrong with them; None when nothing is."""
    for label in labels:
        if not _LABEL.fullmatch(label):
            return (
                "Expected each of `labels` to be 1 to 63 letters, digits, `.`, `_` or `-` that begin with a letter or "
                f"digit, got: {label!r}."
            )
    return None


def same_release(version: str, other: str) -> bool:
    """Whether two versions differ by no more than a patch; systems of one queue should not."""
    return version.split(".")[:2] == other.split(".")[:2]
