"""The one-time ticket: a file whose name is its state. Renaming is atomic, so it is redeemed or revoked, never both.

It is not forced to the disk: it has to outlive the daemon, which it does in the kernel's memory. When the machine
dies, every launcher dies with it, and a ticket that came back `issued` is revoked before anything else happens.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from ccm_orchestrator.ports.launching import Ticket

_PREFIX = "ticket."


def issue(directory: Path, term: int) -> None:
    """Raises: OSError."""
    descriptor = os.open(directory / f"{_PREFIX}{term}.{Ticket.ISSUED}", os.O_CREAT | os.O_WRONLY, 0o600)
    os.close(descriptor)


def revoke(directory: Path) -> None:
    """Takes every unredeemed ticket of the run back."""
    for path, state in list(_tickets(directory)):
        if state == Ticket.ISSUED:
            try:
                path.rename(path.with_suffix(f".{Ticket.REVOKED}"))
            except FileNotFoundError:
                continue


def read(directory: Path) -> Ticket:
    """Redeemed, if one ever was; else whether one can still be redeemed."""
    states = {state for _, state in _tickets(directory)}
    best = (Ticket.REDEEMED, Ticket.ISSUED, Ticket.REVOKED)
    return next((ticket for ticket in best if ticket.value in states), Ticket.NONE)


def _tickets(directory: Path) -> Iterator[tuple[Path, str]]:
    try:
        names = os.listdir(directory)  # noqa: PTH208 - half the cost, and every look at a run pays it
    except FileNotFoundError:
        return
    for name in names:
        if name.startswith(_PREFIX):
            yield directory / name, name.rpartition(".")[2]
