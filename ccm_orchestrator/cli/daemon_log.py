"""The daemon's own log file, read as it grows, while it is set aside, and whether a daemon runs or not."""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import BinaryIO


class DaemonLog:
    """Lines that hold `wanted`."""

    def __init__(self, path: Path, wanted: str = "") -> None:
        self._path = path
        self._wanted = wanted
        self._file: BinaryIO | None = None
        self._rest = b""

    def close(self) -> None:
        if self._file is not None:
            self._file.close()

    def last(self, number: int) -> list[str]:
        """The newest, oldest first; files that were set aside are read as far as they are needed."""
        found = self._read_open() if self._open() else []
        older = self._set_aside()
        while len(found) < number and (file := next(older, None)) is not None:
            found = self._chosen(file.read_bytes().splitlines()) + found
        return found[-number:] if number else []

    def new(self) -> list[str]:
        """What was written since: the end of a file that was set aside comes before the beginning of the next."""
        lines = self._read_open()
        if self._is_another():
            lines += self._read_open()
            if self._open():
                lines += self._read_open()
        return lines

    def _open(self) -> bool:
        try:
            fresh = self._path.open("rb")
        except FileNotFoundError:
            return False
        self.close()
        self._file, self._rest = fresh, b""
        return True

    def _is_another(self) -> bool:
        return self._path.exists() and _identity(self._path.stat()) != self._ours()

    def _ours(self) -> tuple[int, int]:
        return _identity(os.fstat(self._file.fileno())) if self._file else (0, 0)

    def _set_aside(self) -> Iterator[Path]:
        """Newest first; what is read already may have become one of them."""
        for number in count(1):
            file = self._path.with_name(f"{self._path.name}.{number}")
            if not file.exists():
                return
            if _identity(file.stat()) != self._ours():
                yield file

    def _read_open(self) -> list[str]:
        """Whole lines."""
        if self._file is None:
            return []
        if os.fstat(self._file.fileno()).st_size < self._file.tell():
            self._file.seek(0)  # somebody emptied it
            self._rest = b""
        *whole, self._rest = (self._rest + self._file.read()).split(b"\n")
        return self._chosen(whole)

    def _chosen(self, lines: list[bytes]) -> list[str]:
        return [line for raw in lines if self._wanted in (line := raw.decode("utf-8", "replace"))]


def _identity(found: os.stat_result) -> tuple[int, int]:
    return found.st_dev, found.st_ino
