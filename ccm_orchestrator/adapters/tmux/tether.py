"""Runs a program that is killed when the thread that started it ends: `tether.py PARENT_PID PROGRAM ARGUMENT…`

A control client that outlives its daemon can make the tmux server stop reading every pane. Where the kernel offers no
such bond (macOS), the daemon kills the client itself on its way out, and the next daemon kills what is left.
Run as a script in a fresh interpreter: it must not import anything of ours.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def main(parent_pid: int, argv: list[str]) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
    if os.getppid() != parent_pid:  # it died before the bond was made
        sys.exit(1)
    os.execvp(argv[0], argv)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
