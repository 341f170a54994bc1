"""What goes through the launcher: lines to the window, and the agent's output to its file and to the window."""

from __future__ import annotations

import posix

from ccm_orchestrator.launcher.records import write_all
from ccm_orchestrator.launcher.window import StreamView, clean

_PIECE = 1 << 16
_MOST_PENDING = 64 << 20


class Window:
    """The terminal. It may stand still (Ctrl-S, a hung tmux): then text is dropped, and nothing waits for it."""

    def __init__(self) -> None:
        try:
            self._descriptor = posix.open(
                "/dev/tty", posix.O_WRONLY | posix.O_NONBLOCK | posix.O_NOCTTY | posix.O_CLOEXEC
            )
        except OSError:
            self._descriptor = 1

    def show(self, text: str) -> None:
        try:
            write_all(self._descriptor, text.replace("\n", "\r\n").encode(errors="backslashreplace"))
        except OSError:
            return

    def say(self, sentence: str) -> None:
        """A line of our own."""
        self.show(f"[ccm-orchestrator] {clean(sentence)}\n")


class Copy:
    """One pipe from the agent: every byte to a file, readable lines to the window."""

    def __init__(self, source: int, path: str, window: Window) -> None:
        self.source = source
        self.open = True
        self._target: int | None = None
        self._path = path
        self._pending = bytearray()
        self._window = window
        self._view = StreamView()
        posix.set_blocking(source, False)

    def pump(self) -> None:
        """Takes what is there now."""
        try:
            while piece := posix.read(self.source, _PIECE):
                self._take(piece)
        except BlockingIOError:
            return
        self.open = False
        self._window.show(self._view.finish())

    def _take(self, piece: bytes) -> None:
        if len(self._pending) < _MOST_PENDING:
            self._pending += piece
        self.flush()
        self._window.show(self._view.feed(piece))

    def flush(self) -> bool:
        """False: the disk is full just now; the rest stays in memory for the next time."""
        try:
            if self._target is None:
                self._target = posix.open(self._path, posix.O_WRONLY | posix.O_CREAT | posix.O_APPEND, 0o600)
            while self._pending:
                written = posix.write(self._target, self._pending)
                del self._pending[:written]
        except OSError:
            return False
        return True
