"""Programs of ours that run as processes of their own, and how each is called.

From an installed package a program is a file, or a module, for the interpreter that runs us. In the one-file binary
there is no interpreter to call: the binary is called again, with a first word that no command has.
"""

from __future__ import annotations

import os
import sys
from enum import StrEnum
from pathlib import Path

PACKAGE = Path(__file__).parent


class Program(StrEnum):
    """The word by which the binary is told what to be."""

    COMMAND_LINE = ""
    """`ccm-orchestrator` itself."""
    LAUNCHER = "--be-launcher"
    """Stands in an agent's window; outlives the daemon."""
    TETHER = "--be-tether"
    """Becomes a tmux client that dies with the daemon."""
    SUPABASE_KEEPER = "--be-supabase-keeper"
    """Keeps the local Supabase; outlives the command that began it."""

    NOTICE_SENDER = "--be-notice-sender"
    """Sends one notice through Apprise, whose memory goes with it."""


_INTERPRETED = {  # all without the current directory on the module path: it may be an agent's work tree
    Program.COMMAND_LINE: ("-P", "-m", "ccm_orchestrator"),
    Program.LAUNCHER: ("-I", "-S", str(PACKAGE / "launcher" / "main.py")),
    Program.TETHER: ("-I", "-S", str(PACKAGE / "adapters" / "tmux" / "tether.py")),
    Program.SUPABASE_KEEPER: ("-P", "-m", "ccm_orchestrator.devstack.keeper"),
    Program.NOTICE_SENDER: ("-P", "-m", "ccm_orchestrator.adapters.apprise.sending"),
}


def is_frozen() -> bool:
    """Whether this is the one-file binary."""
    return bool(getattr(sys, "frozen", False))


def argv_of(program: Program, *arguments: str) -> list[str]:
    if is_frozen():
        return ["/usr/bin/env", *_unpacking(program), sys.executable, *filter(None, [program.value]), *arguments]
    return [sys.executable, *_INTERPRETED[program], *arguments]


def _unpacking(program: Program) -> list[str]:
    """What tells the binary to unpack a copy for the new process: its parent's goes when the parent ends.

    A tether is bound to the process that started it, and is that one's own child only when it shares the copy.
    """
    if program is Program.TETHER:
        return [f"{name}={value}" for name, value in os.environ.items() if name.startswith("_PYI_")]
    return ["PYINSTALLER_RESET_ENVIRONMENT=1"]
