"""What a command left behind or shows: the file of its output, and when its terminal was last written to."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

import psutil

OUTPUT_FILE = "output.log"
STDERR_FILE = "stderr.log"
_TAIL_BYTES = 200_000
_ESCAPES = re.compile(
    r"\x1b(?:\[[0-9;:?<=>]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[PX^_][^\x1b]*\x1b\\|[ -/]*[0-~])"
)
_OVERWRITTEN = re.compile(r"^.*\r(?!$)", re.M)


def output_text(run_directory: Path) -> str:
    """The end of what it wrote to its standard output, as a terminal would leave it; empty when there is none."""
    try:
        with (run_directory / OUTPUT_FILE).open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - _TAIL_BYTES))
            data = file.read(_TAIL_BYTES)
    except FileNotFoundError:
        return ""
    text = _ESCAPES.sub("", data.decode("utf-8", "replace")).replace("\r\n", "\n")
    return _OVERWRITTEN.sub("", text).replace("\r", "").replace("\0", "")


def last_written(run_directory: Path, pid: int) -> datetime | None:
    """When it last gave a line; None when it never did, or is gone. The kernel's terminals tell it to within 8 s."""
    times = [path.stat().st_mtime for name in (OUTPUT_FILE, STDERR_FILE) if (path := run_directory / name).exists()]
    terminal = None if times else _terminal(pid)
    if terminal is not None:
        times.append(terminal.stat().st_mtime)
    return datetime.fromtimestamp(max(times), UTC) if times else None


def _terminal(pid: int) -> Path | None:
    try:
        name = psutil.Process(pid).terminal()
    except psutil.Error:
        return None
    return Path(name) if name and Path(name).exists() else None
