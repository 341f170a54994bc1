"""JSON files of the run directory."""

from __future__ import annotations

import posix
import time
from _json import encode_basestring_ascii, make_scanner

VERSION = 1


class Unreadable(Exception):
    """A file of the run directory is not what it should be; the text is a sentence."""


class _ScannerOptions:
    strict = False
    object_hook = None
    object_pairs_hook = None
    parse_float = float
    parse_int = int
    parse_constant = float
    memo: dict[str, str] = {}  # noqa: RUF012 - the C scanner wants this attribute and never shares it


_scan = make_scanner(_ScannerOptions())  # type: ignore[arg-type] # it only reads the attributes above


def parse_object(text: str) -> dict[str, object]:
    """Raises: Unreadable."""
    text = text.strip()
    try:
        value, end = _scan(text, 0)
    except (ValueError, StopIteration, RecursionError, SystemError) as error:
        # SystemError: Python 3.11's scanner takes its exception from `json.decoder`, which is not loaded here.
        raise Unreadable("not JSON") from error
    if end != len(text) or not isinstance(value, dict):
        raise Unreadable("not one JSON object")
    return value


def dump(value: object) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case int() | float():
            return repr(value)
        case str():
            return encode_basestring_ascii(value)
        case dict():
            return "{" + ", ".join(f"{dump(str(key))}: {dump(item)}" for key, item in value.items()) + "}"
        case list() | tuple():
            return "[" + ", ".join(map(dump, value)) + "]"
    raise TypeError(f"expected a JSON value, got: {type(value).__name__}")


def read_bytes(path: str) -> bytes:
    """Raises: OSError."""
    descriptor = posix.open(path, posix.O_RDONLY)
    try:
        chunks = []
        while chunk := posix.read(descriptor, 1 << 20):
            chunks.append(chunk)
        return b"".join(chunks)
    finally:
        posix.close(descriptor)


def exists(path: str) -> bool:
    try:
        posix.stat(path)
    except OSError:
        return False
    return True


def write_all(descriptor: int, data: bytes) -> None:
    """Raises: OSError, possibly after a part was written."""
    view = memoryview(data)
    while view:
        view = view[posix.write(descriptor, view) :]


class Record:
    """A file that is written whole or not at all, and again until it succeeds: the disk may be full just now."""

    def __init__(self, directory: str, name: str, durable: bool) -> None:
        self._directory = directory
        self._path = f"{directory}/{name}"
        self._durable = durable
        self._value: dict[str, object] | None = None

    @property
    def pending(self) -> bool:
        return self._value is not None

    def write(self, value: dict[str, object]) -> bool:
        """False: not yet; call `retry` later."""
        self._value = value
        return self.retry()

    def retry(self) -> bool:
        if self._value is None:
            return True
        try:
            self._replace(dump(self._value).encode("ascii"))
        except OSError:
            return False
        self._value = None
        return True

    def _replace(self, data: bytes) -> None:
        temporary = f"{self._path}.tmp"
        descriptor = posix.open(temporary, posix.O_WRONLY | posix.O_CREAT | posix.O_TRUNC, 0o600)
        try:
            write_all(descriptor, data)
            if self._durable:
                posix.fsync(descriptor)
        finally:
            posix.close(descriptor)
        posix.rename(temporary, self._path)
        if self._durable:
            _sync_directory(self._directory)


def _sync_directory(directory: str) -> None:
    descriptor = posix.open(directory, posix.O_RDONLY)
    try:
        posix.fsync(descriptor)
    finally:
        posix.close(descriptor)


def utc_now() -> str:
    """ISO 8601 with microseconds."""
    now = time.time()
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(now))}.{int(now % 1 * 1e6):06}+00:00"
