"""What the service manager is told: that the daemon is ready, that its work proceeds, and how it stands."""

from __future__ import annotations

import os

import sdnotify

PATIENCE_S = 40.0
"""What the shipped units give a start. Each sign of progress asks for as much again."""


class Announcer:
    """Without a service manager that listens, nothing is said. Every call may come from any thread."""

    def __init__(self) -> None:
        # Without an address the library leaves a socket behind that nobody closes.
        self._notifier = sdnotify.SystemdNotifier() if os.environ.get("NOTIFY_SOCKET") else None
        self._ready = False
        self._said = ""

    @property
    def heard(self) -> bool:
        return self._notifier is not None and self._notifier.socket is not None

    def proof(self) -> None:
        """The work proceeds."""
        self._tell("WATCHDOG=1" if self._ready else f"EXTEND_TIMEOUT_USEC={PATIENCE_S * 1e6:.0f}")

    def status(self, text: str) -> None:
        """One line for people."""
        if text != self._said:
            self._said = text
            self._tell(f"STATUS={_line(text)}")

    def working(self, text: str, more_s: float = 0.0) -> None:
        """Of a start or a stop: what it does now, and how much longer than usual that may take."""
        self.status(text)
        self._tell(f"EXTEND_TIMEOUT_USEC={(PATIENCE_S + more_s) * 1e6:.0f}")

    def ready(self) -> None:
        self._ready = True
        self._tell("READY=1\nWATCHDOG=1")

    def stopping(self, text: str) -> None:
        self._ready = False
        self._tell("STOPPING=1")
        self.working(text)

    def _tell(self, message: str) -> None:
        if self._notifier is not None:
            self._notifier.notify(message)


def _line(text: str) -> str:
    """The library sends Latin-1, which systemd refuses."""
    return " ".join(text.split()).encode("ascii", "replace").decode("ascii")
