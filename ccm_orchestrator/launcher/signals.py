"""Signals without the module `signal`, whose enumerations take 5 ms to make."""

from __future__ import annotations

import posix

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
else:
    import _signal as signal

__all__ = ["catch_signals", "default_signals", "signal"]


def catch_signals() -> int:
    """From here on a signal only writes its number into the returned pipe: whoever waits for the agent reads it."""
    reader, writer = posix.pipe()
    posix.set_blocking(reader, False)
    posix.set_blocking(writer, False)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(number, lambda number, frame: None)
    signal.signal(signal.SIGTTOU, signal.SIG_IGN)
    return reader


def default_signals() -> None:
    """What a new program expects, whatever we or the terminal's server chose."""
    for number in range(1, signal.NSIG):
        if number not in (signal.SIGKILL, signal.SIGSTOP):
            try:
                signal.signal(number, signal.SIG_DFL)
            except (OSError, ValueError):
                continue
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
