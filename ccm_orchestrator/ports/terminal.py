"""Windows that people can attach to."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from ccm_orchestrator.domain.run import WindowRef


@dataclass(frozen=True, slots=True)
class WindowInfo:
    ref: WindowRef
    name: str
    run_id: str | None
    """The window's `@ccm_run` option; None: not ours, never to be touched."""
    pane_pid: int
    dead: bool
    last_output_at: int | None = None
    """Unix time, in whole seconds, at which something was last written in it; None: not known."""


@dataclass(frozen=True, slots=True)
class TerminalHealth:
    ok: bool
    version: str
    server_pid: int | None
    windows: int
    detail: str
    """One sentence when not ok, else empty."""


class Key(StrEnum):
    """Keys that may be pressed in an agent's window, by tmux's names."""

    ENTER = "Enter"
    ESCAPE = "Escape"
    STASH_DRAFT = "C-s"
    INTERRUPT = "C-c"
    YES = "1"
    TAB = "Tab"
    BACK_TAB = "BTab"
    BACKSPACE = "BSpace"
    DELETE = "DC"
    UP = "Up"
    DOWN = "Down"
    LEFT = "Left"
    RIGHT = "Right"
    HOME = "Home"
    END = "End"
    PAGE_UP = "PPage"
    PAGE_DOWN = "NPage"


def typeable(text: str) -> str:
    """The text without control characters but newline, and without what cannot be encoded: what `type_text` types."""
    return "".join(
        character for character in text if character == "\n" or unicodedata.category(character) not in ("Cc", "Cs")
    )


class Terminal(Protocol):
    """Windows that people can attach to.

    Every operation raises TerminalUnavailable when tmux does not answer in time.
    """

    async def start(self) -> None:
        """Starts the server where there is none, ends control clients of an earlier daemon. Raises: TmuxMissing."""

    async def stop(self) -> None:
        """Ends our own client; windows live on."""

    async def open_window(self, run_id: str, argv: Sequence[str]) -> WindowRef:
        """A window named `ccm-XXXXXXXX` that runs argv, marked with the run id in the same command."""

    async def windows(self) -> Sequence[WindowInfo]: ...

    async def capture(self, window: WindowRef, styled: bool = False, history_lines: int = 0) -> str:
        """What a person sees, with escape sequences if `styled`. Raises: WindowGone."""

    async def type_text(self, window: WindowRef, text: str) -> None:
        """Literally, in chunks slow enough not to be taken for a paste; control characters but newline are dropped.
        Submits nothing. Raises: WindowGone."""

    async def press(self, window: WindowRef, key: Key) -> None: ...

    async def close_window(self, window: WindowRef) -> None:
        """Nothing when it is gone."""

    async def health(self) -> TerminalHealth:
        """Never raises."""

    def attach_argv(self, window: WindowRef | None) -> Sequence[str]:
        """The command a person runs to look (at this window)."""
