"""Files of one JSON object a line that another process is still writing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from ccm_orchestrator.adapters.claude.payload import Json, parse_object
from ccm_orchestrator.adapters.plain_files import opened

TAIL_BYTES = 192 * 1024
"""Enough for the newest few records; an attachment alone may take 64 kB."""


def tail_lines(path: Path, limit_bytes: int = TAIL_BYTES) -> Sequence[bytes]:
    """The last complete lines, oldest first; at least one if there is one, however long it is."""
    try:
        with opened(path) as file:
            size = file.seek(0, 2)
            while True:
                start = max(0, size - limit_bytes)
                file.seek(start)
                lines = file.read(size - start).split(b"\n")[:-1]  # the last piece is not complete yet, or empty
                whole = lines if start == 0 else lines[1:]
                if whole or start == 0:
                    return whole
                limit_bytes *= 4
    except OSError:
        return ()


def every(path: Path) -> Iterator[Json]:
    """All complete records, one at a time."""
    try:
        with opened(path) as file:
            for line in file:
                record = parse_object(line) if line.endswith(b"\n") else None
                if record is not None:
                    yield record
    except OSError:
        return
