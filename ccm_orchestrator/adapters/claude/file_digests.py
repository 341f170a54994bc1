"""Contents of files as parts of a digest, within limits: what is too much to be looked at is never taken as seen."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from ccm_orchestrator.adapters.plain_files import opened

LARGEST_BYTES = 1_000_000
"""What is understood; of longer files all bytes count."""
LARGEST_HASHED_BYTES = 100_000_000
MOST_FILES = 10_000
_BLOCK_BYTES = 1_000_000


class TooMuch(Exception):
    """Nobody could vouch for having seen all of it."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def digest_of(*parts: bytes) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "big") + part)
    return digest.hexdigest()


def content_of(path: Path) -> bytes | None:
    """At most one byte too many; None: there is nothing. What is no plain file, or not ours to read, reads as such."""
    try:
        with opened(path) as file:
            return file.read(LARGEST_BYTES + 1)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        return _unreadable(error)


def all_of(path: Path, content: bytes) -> bytes:
    """`content`, as `content_of` read it, or what stands for all of a longer file."""
    return content if len(content) <= LARGEST_BYTES else file_mark(path) or content


def file_mark(path: Path) -> bytes | None:
    """Differs when the file does. None: there is nothing."""
    try:
        with opened(path) as file:
            status = os.fstat(file.fileno())
            if status.st_size > LARGEST_HASHED_BYTES:  # nobody but the kernel sets the time of the last change
                return f"large: {status.st_ino} {status.st_size} {status.st_mtime_ns} {status.st_ctime_ns}".encode()
            digest = hashlib.sha256()
            for _ in range(LARGEST_HASHED_BYTES // _BLOCK_BYTES + 1):
                digest.update(block := file.read(_BLOCK_BYTES))
                if not block:
                    break
            return digest.digest()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        return _unreadable(error)


def is_directory(path: Path) -> bool:
    """Not where nobody may look, nor where links go in circles."""
    try:
        return path.is_dir()
    except OSError:
        return False


def tree_marks(root: Path) -> list[bytes]:
    """Of everything below a directory but git's own. Raises: TooMuch."""
    return [
        part
        for path in files_below(root)
        if ".git" not in path.relative_to(root).parts and not is_directory(path)
        for part in (os.fsencode(path.relative_to(root)), file_mark(path) or b"leads nowhere")
    ]


def files_below(root: Path) -> Iterator[Path]:
    """In order, and through links. Raises: TooMuch, where a link leads to where there is no end, too."""
    seen = 0
    for directory, directories, files in os.walk(root, followlinks=True):
        directories.sort()
        seen += 1 + len(files)
        if seen > MOST_FILES:
            raise TooMuch(f"holds more than {MOST_FILES} files")
        yield from (Path(directory) / name for name in sorted(files))


def _unreadable(error: OSError) -> bytes:
    return f"unreadable: {error.errno}".encode()
