"""What is where on Claude Code's screen: the prompt box at the bottom, and what stands above and below it.

The box is two rules with a line `❯ ` between them; it is there whenever no dialog is. What an agent writes stands above
it, so text that merely looks like a dialog deceives nobody.

    ● Done.
    ───────────────────────── ccm-12345678 ──
    ❯ a draft
    ─────────────────────────────────────────
      ⏵⏵ accept edits on · esc to interrupt
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-_])")
_RULE = re.compile(r"\A {0,2}[─▔]{8,}(?: .{1,80} [─▔]+)?\Z")
_PROMPT = re.compile(r"\A[❯!]\s?")
_NOT_A_FOOTER = re.compile(r"esc to (?:cancel|close)|enter to (?:select|confirm)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Layout:
    lines: Sequence[str]
    """Without escape sequences and trailing blanks."""
    rules: Sequence[int]
    box: tuple[int, int] | None
    """The lines of the box's two rules."""

    @property
    def above(self) -> Sequence[str]:
        return self.lines[: self.box[0]] if self.box else self.lines

    @property
    def footer(self) -> str:
        return flowing(self.lines[self.box[1] + 1 :]) if self.box else ""

    def regions(self) -> Sequence[str]:
        """What a dialog may be: from the last rule to the end, then from the rule before it, then from a third."""
        starts = [*reversed(self.rules[-3:])] or [-1]
        return [flowing(self.lines[start + 1 :]) for start in starts]


def read_layout(screen: str) -> Layout:
    lines = [line.rstrip() for line in ESCAPES.sub("", screen).splitlines()]
    while lines and not lines[-1]:
        lines.pop()
    rules = [index for index, line in enumerate(lines) if _RULE.match(line)]
    return Layout(lines, rules, _box(lines, rules))


def flowing(lines: Sequence[str]) -> str:
    """One line: a narrow window wraps what a wide one does not."""
    return " ".join(" ".join(lines).split())


def _box(lines: Sequence[str], rules: Sequence[int]) -> tuple[int, int] | None:
    if len(rules) < 2:
        return None
    top, bottom = rules[-2], rules[-1]
    if bottom - top < 2 or not _PROMPT.match(lines[top + 1]):
        return None
    return None if _NOT_A_FOOTER.search(flowing(lines[bottom + 1 :])) else (top, bottom)
