"""What a person would see: the last of the witnesses. It never completes a task, whatever it shows."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime

from ccm_orchestrator.adapters.claude.dialogs import find_dialog
from ccm_orchestrator.adapters.claude.failures import failure_in_text, resets_at
from ccm_orchestrator.adapters.claude.layout import Layout, flowing, read_layout
from ccm_orchestrator.domain.agent import Dialog, Evidence, Signal, Source

_SPINNER = re.compile(r"\A[·✢✳✶✻✽*] \S.*…")
_RETRY = re.compile(r"\A[·✢✳✶✻✽*] .*\bretrying in \d+", re.IGNORECASE)
_WAITING = re.compile(r"\A[·✢✳✶✻✽*] Waiting for \d+ background agents?\b")
_SHELLS = re.compile(r"· \d+ shells?\b|\A\d+ shells?\b")
_WORKING = "esc to interrupt"
_LOGGED_OUT = "Not logged in"
_EXITED = re.compile(r"Resume this session with: claude --resume|\APane is dead\b|Pane is dead \(")
_FAILED = (
    re.compile(r"\A● (?:Please run /login · )?API Error: "),
    re.compile(r"\A● There's an issue with the selected model \("),
    re.compile(r"\A⎿ +(?:Not logged in|Credit balance too low|Context limit reached|Prompt is too long)\b"),
    re.compile(r"\A⎿ +.*\blimit reached\b|\A[●⎿] +You've (?:hit|reached) your .*\blimit\b"),
)
_INTERRUPTED = re.compile(r"\A⎿ +Interrupted · ")
_BLOCK = re.compile(r"\A(?:[●❯⎿›]|[·✢✳✶✻✽*] )")
_TURN_SUMMARY = re.compile(r"\A[✢✳✶✻✽*] \S+ for \d+")
_SPINNER_REACH = 8
"""The spinner has at most a few lines of tips below it."""


def read_screen(screen: str, at: datetime) -> Evidence | None:
    """Pure; `screen` may be styled. None when it is blank, or like none that we know."""
    layout = read_layout(screen)
    dialog = find_dialog(layout)
    if dialog is not None:
        return Evidence(Source.SCREEN, Signal.BLOCKED, at, dialog.value)
    if _EXITED.search(layout.footer if layout.box else flowing(layout.lines[-6:])):
        return Evidence(Source.SCREEN, Signal.SESSION_ENDED, at, "exited")
    return _at_prompt(layout, at) if layout.box else None


def _at_prompt(layout: Layout, at: datetime) -> Evidence:
    near = [line for line in layout.above[-_SPINNER_REACH:] if line]
    return _working(layout, near, at) or _failed(layout, at) or _resting(layout, near, at)


def _working(layout: Layout, near: Sequence[str], at: datetime) -> Evidence | None:
    retry = next((line for line in near if _RETRY.match(line)), None)
    spinner = next((line for line in near if _SPINNER.match(line)), None)
    if retry is not None and spinner is None:
        return Evidence(Source.SCREEN, Signal.RETRYING, at, retry)
    if spinner is not None or _WORKING in layout.footer:
        return Evidence(Source.SCREEN, Signal.BUSY, at, spinner or "")
    return None


def _failed(layout: Layout, at: datetime) -> Evidence | None:
    block = _last_block(layout.above)
    if not any(pattern.match(block) for pattern in _FAILED):
        return None
    message = block[1:].strip()
    data: dict[str, object] = {"failure_kind": failure_in_text(message).value}
    reset = resets_at(message, at)
    if reset is not None:
        data["resets_at"] = reset
    return Evidence(Source.SCREEN, Signal.TURN_FAILED, at, message, data)


def _resting(layout: Layout, near: Sequence[str], at: datetime) -> Evidence:
    if _SHELLS.search(layout.footer) or (near and _WAITING.match(near[-1])):
        return Evidence(Source.SCREEN, Signal.BACKGROUND, at)
    if _LOGGED_OUT in layout.footer:
        return Evidence(Source.SCREEN, Signal.BLOCKED, at, Dialog.LOGIN.value)
    interrupted = _INTERRUPTED.match(_last_block(layout.above))
    return Evidence(Source.SCREEN, Signal.IDLE, at, "interrupted" if interrupted else "")


def _last_block(lines: Sequence[str]) -> str:
    """The last thing said above the box, as one line that begins with its mark."""
    block: list[str] = []
    for line in reversed(lines):
        aligned_right = line.startswith(" " * 30)
        if not line or aligned_right or _TURN_SUMMARY.match(line):
            continue
        block.insert(0, line.strip())
        if _BLOCK.match(line.strip()):
            break
    return flowing(block)
