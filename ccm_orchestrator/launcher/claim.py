"""The right to start this run's agent: the kernel lock says "nobody else is", the ticket "nobody else did or shall"."""

from __future__ import annotations

import fcntl
import posix
import time

LOCK_BUSY = 73
NO_TICKET = 74
_LOCK_PATIENCE_S = 1.0
"""The daemon probes the lock with a shared one for microseconds; another launcher keeps it."""


class Refused(Exception):
    """The agent must not be started by this launcher."""

    def __init__(self, exit_code: int, sentence: str) -> None:
        super().__init__(sentence)
        self.exit_code = exit_code


def take_lock(directory: str) -> int:
    """Locks the run for as long as the returned descriptor is open; no other program inherits it. Raises: Refused."""
    descriptor = posix.open(f"{directory}/lock", posix.O_RDWR | posix.O_CREAT | posix.O_CLOEXEC, 0o600)
    deadline = time.monotonic() + _LOCK_PATIENCE_S
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return descriptor
        except BlockingIOError:
            if time.monotonic() > deadline:
                posix.close(descriptor)
                raise Refused(LOCK_BUSY, "Another launcher has this run already; nothing was started.") from None
            time.sleep(0.005)


def redeem_ticket(directory: str) -> None:
    """Renaming is atomic: either we redeem the ticket or the daemon has revoked it. Raises: Refused."""
    for name in posix.listdir(directory):
        if name.startswith("ticket.") and name.endswith(".issued"):
            try:
                posix.rename(f"{directory}/{name}", f"{directory}/{name.removesuffix('issued')}redeemed")
            except FileNotFoundError:
                continue
            return
    raise Refused(NO_TICKET, "This run has no valid ticket (revoked, or used before); nothing was started.")
