"""Where the one-file binary begins: it is the command line, or one of the programs that it starts (`programs`).

Each is imported when it is asked for: a launcher must not wait for the command line's modules.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import MutableMapping
from typing import Any

from ccm_orchestrator.programs import Program

_LIBRARY_PATHS = ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")
RESET = "PYINSTALLER_RESET_ENVIRONMENT"


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
            _module("cli").main()


def _module(name: str) -> Any:
    return importlib.import_module(f"ccm_orchestrator.{name}")


if __name__ == "__main__":
    main(sys.argv[1:])
