"""What the one-file binary unpacks, a hundred megabytes for each process, stays when that is killed: removed here."""

from __future__ import annotations

import os
import shutil
import sys
import time
from pathlib import Path

_UNPACKING_S = 600.0
"""A copy that is younger may be about to be used."""


def sweep() -> None:
    """Elsewhere than in the binary, nothing is unpacked; where there is no /proc, nobody can tell what is in use."""
    own = getattr(sys, "_MEIPASS", None)
    if own is not None and sys.platform == "linux":
        remove_left_copies(Path(own), Path("/proc"), time.time())


def remove_left_copies(own: Path, processes: Path, now: float) -> None:
    """Those beside `own` of which no process has a file mapped."""
    old = [copy for copy in own.parent.glob("_MEI*") if copy != own and _is_old_copy(copy, now)]
    mapped = "".join(_maps(process) for process in processes.glob("[0-9]*")) if old else ""
    for copy in old:
        if f"{copy}/" not in mapped:
            shutil.rmtree(copy, ignore_errors=True)


def _is_old_copy(directory: Path, now: float) -> bool:
    try:
        found = directory.lstat()
    except OSError:  # removed by its own process at this moment
        return False
    ours = found.st_uid == os.getuid() and (directory / "ccm_orchestrator").is_dir()
    return ours and now - found.st_mtime > _UNPACKING_S


def _maps(process: Path) -> str:
    try:
        return (process / "maps").read_text(errors="replace")
    except OSError:
        return ""
