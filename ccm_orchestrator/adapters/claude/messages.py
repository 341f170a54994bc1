"""How a message is typed into the prompt so that it arrives as it is, and nothing else with it."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ccm_orchestrator.adapters.claude.layout import ESCAPES, read_layout
from ccm_orchestrator.adapters.claude.prompt import shielded, visible_controls
from ccm_orchestrator.ports.terminal import Key

_SGR = re.compile(r"\x1b\[([0-9;]*)m")
_ENDS_OPEN = re.compile(r"(?:\\|(?:\A|\s)@\S*)\Z")
"""An Enter after a backslash makes a new line, one after the name of a file takes a completion."""
_PASTED = re.compile(r"\[Pastedtext#\d+(?:\+\d+lines)?\]")
_TAIL = 40
"""Characters at the end of a text that tell it from another."""
_MODE_KEYS = ("!", "?", "#", "&")


def message_keys(text: str, screen: str) -> Sequence[str | Key]:
    """`screen`: styled, for only its styles tell a person's draft from a placeholder. The draft is stashed; Claude Code
    brings it back after the message."""
    stash = [Key.STASH_DRAFT] if has_draft(screen) else []
    return [*stash, typed_text(text), Key.ENTER]


def typed_text(text: str) -> str:
    """What to type for the text to be submitted as text."""
    plain = visible_controls(text).replace("\t", "    ").strip("\n")
    told = shielded(plain, "Message:")
    if told.startswith(_MODE_KEYS):
        told = f" {told}"
    return f"{told} " if _ENDS_OPEN.search(told) else told


def awaits_enter(text: str, screen: str) -> bool | None:
    """Whether the end of what was typed for this text is the end of what stands in the prompt box. Text that came too
    fast to have been typed is shown there as `[Pasted text #1 +3 lines]`."""
    layout = read_layout(screen)
    if not layout.rules:
        return None
    typed = "".join(typed_text(text).split())
    if layout.box is None:  # a long text makes the box taller than the window: only its lower end is to be seen
        lower_end = "".join("".join(layout.lines[: layout.rules[-1]]).split())
        return len(typed) > _TAIL and lower_end.endswith(typed[-_TAIL:])
    top, bottom = layout.box
    shown = _PASTED.split("".join("".join(layout.lines[top + 1 : bottom]).partition("❯")[2].split()))
    return has_draft(screen) and typed.endswith(shown[-1][-_TAIL:])


def has_draft(screen: str) -> bool:
    """Whether somebody's text stands in the prompt box."""
    layout = read_layout(screen)
    if layout.box is None:
        return False
    top, bottom = layout.box
    content = "\n".join(screen.splitlines()[top + 1 : bottom])
    _, _, entered = content.partition("❯")
    plain, dim, cursor = _by_style(entered)
    return bool(plain) or (bool(cursor) and not dim)


def _by_style(text: str) -> tuple[str, str, str]:
    """Visible characters: plain, dim (a placeholder), and under the cursor."""
    found = {"plain": "", "dim": "", "cursor": ""}
    dim = inverse = False
    position = 0
    for mark in [*_SGR.finditer(text), None]:
        piece = text[position : mark.start() if mark else len(text)]
        style = "cursor" if inverse else "dim" if dim else "plain"
        found[style] += "".join(ESCAPES.sub("", piece).split())
        if mark:
            dim, inverse = _styles(mark[1], dim, inverse)
            position = mark.end()
    return found["plain"], found["dim"], found["cursor"]


def _styles(codes: str, dim: bool, inverse: bool) -> tuple[bool, bool]:
    for code in _simple_codes(codes):
        if code in ("", "0"):
            dim = inverse = False
        elif code == "2":
            dim = True
        elif code == "22":
            dim = False
        elif code in ("7", "27"):
            inverse = code == "7"
    return dim, inverse


def _simple_codes(codes: str) -> Sequence[str]:
    """Without colours, whose arguments look like codes: `38;5;2`, `48;2;1;2;3`."""
    return re.sub(r"(?:38|48|58);(?:5;\d+|2;\d+;\d+;\d+)", "39", codes).split(";")
