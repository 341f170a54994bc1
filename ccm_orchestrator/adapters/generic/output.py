"""What a command left behind or shows: the file of its output, and when its terminal was last written to."""

from __future__ import annotations

import os
import re
import stat
import sys
from datetime import UTC, datetime
from pathlib import Path

import psutil

from ccm_orchestrator.adapters.plain_files import opened

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
        with opened(run_directory / OUTPUT_FILE) as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - _TAIL_BYTES))
            data = file.read(_TAIL_BYTES)
    except OSError:
        return ""
    text = _ESCAPES.sub("", data.decode("utf-8", "replace")).replace("\r\n", "\n")
    return _OVERWRITTEN.sub("", text).replace("\r", "").replace("\0", "")


def last_written(run_directory: Path, pid: int) -> datetime | None:
    """When it last gave a line; None when it never did, or is gone. The kernel's terminals tell it to within 8 s."""
    times = [path.stat().st_mtime for name in (OUTPUT_FILE, STDERR_FILE) if (path := run_directory / name).exists()]
    latest_s = max(times) if times else _terminal_written(pid)
    return None if latest_s is None else datetime.fromtimestamp(latest_s, UTC)


def _terminal_written(pid: int) -> float | None:
    """Unix time; Linux shows a process's standard output as a link to what it is."""
    try:
        status = Path(f"/proc/{pid}/fd/1").stat() if sys.platform == "linux" else _controlling_terminal(pid)
    except OSError:
        return None
    return status.st_mtime if status is not None and stat.S_ISCHR(status.st_mode) else None


def _controlling_terminal(pid: int) -> os.stat_result | None:
    try:
        name = psutil.Process(pid).terminal()
    except psutil.Error:
        return None
    return Path(name).stat() if name else None
