"""The log file: set aside by size and age, opened anew when somebody else has moved it, and never a reason to stop."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

DAY_S = 86_400.0
_BEGINNING = 200
_TIME = re.compile(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d")


@dataclass(frozen=True, slots=True)
class Rotation:
    """When the file is set aside as `daemon.log.1`, which was `daemon.log.2` before that, and so on."""

    max_bytes: int = 10_000_000
    max_age_s: float = 7 * DAY_S
    keep: int = 5
    """Files that were set aside; 0: they are removed at once."""


class LogFile(logging.StreamHandler["LogFile"]):
    """This process is the file's only writer; programs such as logrotate may move or empty it at any time."""

    def __init__(self, path: Path, rotation: Rotation, now: Callable[[], float] = time.time) -> None:
        """Opens nothing before the first line."""
        super().__init__(self)
        self.lost = 0
        """Lines that could not be written, since the start."""
        self._path = path
        self._rotation = rotation
        self._now = now
        self._descriptor = -1
        self._identity = (0, 0)
        self._begun_at = 0.0
        self._missing = 0

    def write(self, line: str) -> None:
        """Raises: OSError, with nothing of the line in the file."""
        data = line.encode("utf-8", "replace")
        self._make_ready(len(data))
        if self._missing:
            data = b"%s%s" % (self._gap(), data)
        size = os.fstat(self._descriptor).st_size
        if os.write(self._descriptor, data) < len(data):
            os.ftruncate(self._descriptor, size)
            raise OSError("the disk is full")
        self._missing = 0

    def flush(self) -> None:
        """Nothing is ever buffered."""

    def handleError(self, record: logging.LogRecord) -> None:
        """A full disk costs lines, and nothing else; the next line that can be written says how many."""
        if isinstance(sys.exc_info()[1], OSError):
            self.lost += 1
            self._missing += 1
            return
        super().handleError(record)

    def close(self) -> None:
        self._shut()
        super().close()

    def reopen(self) -> None:
        """Somebody has moved the file, and says so. Without a word it is noticed with the next line."""
        with self.lock or contextlib.nullcontext():
            self._shut()

    def _gap(self) -> bytes:
        sentence = f"{self._missing} lines before this one could not be written to this file"
        record = logging.LogRecord(__name__, logging.WARNING, __file__, 0, sentence, (), None)
        return (self.format(record) + "\n").encode("utf-8", "replace")

    def _make_ready(self, coming: int) -> None:
        if self._descriptor >= 0 and not self._is_ours():
            self._shut()
        if self._descriptor < 0:
            self._open()
        size = os.fstat(self._descriptor).st_size
        old = self._now() - self._begun_at > self._rotation.max_age_s
        if size and (old or size + coming > self._rotation.max_bytes):
            self._set_aside()

    def _is_ours(self) -> bool:
        try:
            found = self._path.stat()
        except FileNotFoundError:
            return False
        return (found.st_dev, found.st_ino) == self._identity

    def _open(self) -> None:
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
        self._descriptor = os.open(self._path, flags, 0o600)
        found = os.fstat(self._descriptor)
        self._identity = (found.st_dev, found.st_ino)
        self._begun_at = _first_time(os.pread(self._descriptor, _BEGINNING, 0)) or self._now()

    def _shut(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _set_aside(self) -> None:
        """A directory that allows no renaming costs the rotation, not the line."""
        with contextlib.suppress(OSError):
            if self._rotation.keep == 0:
                self._path.unlink()
            for number in range(self._rotation.keep, 0, -1):
                older = self._numbered(number - 1)
                if older.exists():
                    older.replace(self._numbered(number))
            self._shut()
            self._open()

    def _numbered(self, number: int) -> Path:
        return self._path.with_name(f"{self._path.name}.{number}") if number else self._path


def _first_time(beginning: bytes) -> float | None:
    """Of the first line, as both formats write it; a file knows when it was changed, not when it was begun."""
    found = _TIME.search(beginning)
    if found is None:
        return None
    try:
        return datetime.fromisoformat(found[0].decode()).replace(tzinfo=UTC).timestamp()
    except ValueError:
        return None
