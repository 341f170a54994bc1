"""Windows in memory."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from ccm_orchestrator.domain.run import WindowRef, agent_name, is_run_id
from ccm_orchestrator.errors import TerminalError, TerminalUnavailable, WindowGone
from ccm_orchestrator.ports.terminal import Key, TerminalHealth, WindowInfo, typeable

SCREEN_LINES = 50
_POLL_S = 0.005


@dataclass(slots=True)
class FakeWindow:
    """What happened in one window, and what it shows."""

    ref: WindowRef
    name: str
    run_id: str | None
    argv: tuple[str, ...]
    pane_pid: int
    output: str = ""
    """All that the program wrote; the screen is its end."""
    wrote_at: int | None = None
    """When it wrote last, in Unix time; None: not known."""
    typed: list[str] = field(default_factory=list)
    """One entry per `type_text`, as it was typed."""
    pressed: list[Key] = field(default_factory=list)


class FakeTerminal:
    """Records what is opened, typed and pressed; shows what a test lets it show.

    Its programs echo what is typed, as a terminal does. `opened` keeps every window, closed ones too.
    """

    def __init__(self, on_open: Callable[[FakeWindow], None] | None = None) -> None:
        """`on_open` stands for the program that starts in the window: it may set the window's output."""
        self.on_open = on_open
        self.opened: list[FakeWindow] = []
        self.unavailable = False
        """True: every operation fails at once, as with a tmux server that is gone."""
        self.hung = False
        """True: operations wait until this is False again, and fail then."""
        self._windows: dict[WindowRef, FakeWindow] = {}
        self._server = (4_000_001, 1_700_000_000)
        self._count = 0
        self._started = False

    async def start(self) -> None:
        self._started = True
        await self._answer()

    async def stop(self) -> None:
        self._started = False

    async def open_window(self, run_id: str, argv: Sequence[str]) -> WindowRef:
        if not is_run_id(run_id):
            raise TerminalError(f"expected a run id of 32 hex digits, got: {run_id!r}", run_id=run_id)
        await self._answer()
        return self._open(agent_name(run_id), run_id, argv).ref

    async def windows(self) -> Sequence[WindowInfo]:
        await self._answer()
        return [WindowInfo(w.ref, w.name, w.run_id, w.pane_pid, False, w.wrote_at) for w in self._windows.values()]

    async def capture(self, window: WindowRef, styled: bool = False, history_lines: int = 0) -> str:
        lines = (await self._find(window)).output.splitlines()
        return "\n".join(lines[-SCREEN_LINES - max(0, history_lines) :])

    async def type_text(self, window: WindowRef, text: str) -> None:
        found = await self._find(window)
        found.typed.append(typeable(text))
        found.output += found.typed[-1]

    async def press(self, window: WindowRef, key: Key) -> None:
        found = await self._find(window)
        found.pressed.append(key)
        if key is Key.ENTER:
            found.output += "\n"

    async def close_window(self, window: WindowRef) -> None:
        await self._answer()
        self._windows.pop(window, None)

    async def health(self) -> TerminalHealth:
        try:
            await self._answer()
        except TerminalUnavailable as error:
            return TerminalHealth(False, "fake", None, 0, error.message)
        ours = sum(window.run_id is not None for window in self._windows.values())
        return TerminalHealth(True, "fake", self._server[0], ours, "")

    def attach_argv(self, window: WindowRef | None) -> Sequence[str]:
        return ["true", *([window.window_id] if window else [])]

    def of_run(self, run_id: str) -> FakeWindow:
        """The newest window that was opened for the run, closed or not."""
        return next(window for window in reversed(self.opened) if window.run_id == run_id)

    def end(self, run_id: str) -> None:
        """The run's program ends, and its window with it."""
        self._windows.pop(self.of_run(run_id).ref, None)

    def open_by_person(self, name: str) -> WindowRef:
        """A window that is none of ours."""
        return self._open(name, None, ("sh",)).ref

    def restart_server(self) -> None:
        """Every window is gone, and ids start anew."""
        self._windows.clear()
        self._server = (self._server[0] + 1, self._server[1] + 60)
        self._count = 0

    def _open(self, name: str, run_id: str | None, argv: Sequence[str]) -> FakeWindow:
        self._count += 1
        ref = WindowRef(*self._server, f"@{self._count}")
        window = FakeWindow(ref, name, run_id, tuple(argv), pane_pid=5_000_000 + len(self.opened))
        self._windows[ref] = window
        self.opened.append(window)
        if self.on_open is not None:
            self.on_open(window)
        return window

    async def _find(self, window: WindowRef) -> FakeWindow:
        await self._answer()
        if window not in self._windows:
            raise WindowGone(f"window {window.window_id} does not exist any more", window=window)
        return self._windows[window]

    async def _answer(self) -> None:
        if self.hung:
            while self.hung:  # noqa: ASYNC110 - a test may release it from any thread
                await asyncio.sleep(_POLL_S)
            raise TerminalUnavailable("the terminal did not answer in time")
        if self.unavailable or not self._started:
            raise TerminalUnavailable
