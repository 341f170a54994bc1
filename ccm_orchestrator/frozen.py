"""Where the one-file binary begins: it is the command line, or one of the programs that it starts (`programs`).

Each is imported when it is asked for: a launcher must not wait for the command line's modules.
"""

from __future__ import annotations

import ctypes
import importlib
import os
import signal
import sys
from collections.abc import MutableMapping
from typing import Any

from ccm_orchestrator.programs import Program

_LIBRARY_PATHS = ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")
RESET = "PYINSTALLER_RESET_ENVIRONMENT"
_PR_SET_PDEATHSIG = 1


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
        _module("adapters.left_copies").sweep()


def _module(name: str) -> Any:
    return importlib.import_module(f"ccm_orchestrator.{name}")


if __name__ == "__main__":
    main(sys.argv[1:])
