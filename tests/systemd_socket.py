"""Stands for systemd: hears what a daemon tells its service manager."""

from __future__ import annotations

import socket
import threading
from pathlib import Path


class SystemdSocket:
    """Use as a context manager, and give the daemon `NOTIFY_SOCKET=address`."""

    def __init__(self, directory: Path) -> None:
        self.address = str(directory / "notify")
        self.heard: list[str] = []
        """Single assignments, in order."""
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(self.address)
        self._thread = threading.Thread(target=self._listen, daemon=True)

    def __enter__(self) -> SystemdSocket:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as last:
            last.sendto(b"", self.address)
        self._thread.join(10)
        self._socket.close()

    def _listen(self) -> None:
        while message := self._socket.recv(65536):
            self.heard += message.decode().split("\n")

    def told(self, start: str) -> list[str]:
        """What began so, without that beginning."""
        return [line.removeprefix(start) for line in self.heard if line.startswith(start)]
