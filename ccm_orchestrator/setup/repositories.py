"""Git repositories near a directory: what a person may want agents to work in."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Iterable, Sequence
from pathlib import Path

MOST_FOUND = 50
DEEPEST = 4
LIMIT_S = 3.0
_SKIPPED = frozenset(
    {"node_modules", "venv", "target", "dist", "build", "vendor", "Library", "snap", "go", "proc", "sys", "dev"}
)


def repositories(roots: Iterable[Path], limit_s: float = LIMIT_S) -> Sequence[Path]:
    """The nearest first. Hidden directories, links, and what lies inside of a repository are not looked into.

    Gives up after `limit_s`, with what it has found until then: a home directory may be on a slow network.
    """
    deadline, found = time.monotonic() + limit_s, list[Path]()
    waiting = deque((root, 0) for root in roots)
    while waiting and len(found) < MOST_FOUND and time.monotonic() < deadline:
        directory, depth = waiting.popleft()
        if (directory / ".git").exists():
            found.append(directory)
        elif depth < DEEPEST:
            waiting.extend((inner, depth + 1) for inner in _inner(directory))
    return list(dict.fromkeys(found))


def _inner(directory: Path) -> list[Path]:
    try:
        with os.scandir(directory) as entries:
            names = [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
    except OSError:
        return []
    return [directory / name for name in sorted(names) if not name.startswith(".") and name not in _SKIPPED]
