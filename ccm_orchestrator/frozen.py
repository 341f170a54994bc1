"""Where the one-file binary begins: it is the command line, or one of the programs that it starts (`programs`).

Each is imported when it is asked for: a launcher must not wait for the command line's modules.
"""

from __future__ import annotations

import ctypes
import importlib
import os
import shutil
import signal
import sys
import time
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any

from ccm_orchestrator.programs import Program

_LIBRARY_PATHS = ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")
RESET = "PYINSTALLER_RESET_ENVIRONMENT"
_PR_SET_PDEATHSIG = 1
_UNPACKING_S = 600.0
"""A copy that is younger may be about to be used."""


def restore_library_paths(environment: MutableMapping[str, str]) -> None:
    """As they were: the binary's own libraries are for itself, not for tmux, git and agents."""
    for name in _LIBRARY_PATHS:
        environment.pop(name, None)
        original = environment.pop(f"{name}_ORIG", None)
        if original is not None:
            environment[name] = original
    environment.pop(RESET, None)


def main(arguments: list[str]) -> None:
    restore_library_paths(os.environ)
    match arguments:
        case [Program.LAUNCHER, directory]:
            sys.exit(_module("launcher.main").main(directory))
        case [Program.TETHER, parent_pid, *argv]:
            _module("adapters.tmux.tether").main(int(parent_pid), argv)
        case [Program.SUPABASE_KEEPER, *rest]:
            sys.exit(_module("devstack.keeper").main(rest))
        case [Program.NOTICE_SENDER]:
            _module("adapters.apprise.sending").main()
        case _:
            if "serve" in arguments:
                begin_serving()
            _module("cli").main()


def begin_serving() -> None:
    """Who keeps the daemon knows the process that unpacked it, and means both when it kills that one."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
        remove_left_copies(Path(getattr(sys, "_MEIPASS", os.devnull)), Path("/proc"), time.time())


def remove_left_copies(own: Path, processes: Path, now: float) -> None:
    """What killed binaries had unpacked beside `own`, a hundred megabytes each: no process has a file of it mapped."""
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


def _module(name: str) -> Any:
    return importlib.import_module(f"ccm_orchestrator.{name}")


if __name__ == "__main__":
    main(sys.argv[1:])
