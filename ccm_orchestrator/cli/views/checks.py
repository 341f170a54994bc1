"""What the doctor found."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType

from ccm_orchestrator.cli.views.plain import plain, text
from ccm_orchestrator.cli.views.tables import facts, listing
from ccm_orchestrator.setup.check import Check, Verdict

if TYPE_CHECKING:
    from ccm_orchestrator.setup.mending import Mended

MARKS = {Verdict.OK: ("ok", "green"), Verdict.WARN: ("warn", "yellow"), Verdict.FAIL: ("FAIL", "bold red")}


def check_list(checks: Sequence[Check]) -> RenderableType:
    """First what is not well, the worst of it first, with why it matters and the command; then what is, by group."""
    ill = sorted((c for c in checks if c.verdict is not Verdict.OK), key=lambda check: check.verdict is Verdict.WARN)
    parts: list[RenderableType] = [_ill(check) for check in ill]
    for group in dict.fromkeys(check.group for check in checks):
        well = [check for check in checks if check.group == group and check.verdict is Verdict.OK]
        if well:
            parts.append(_well(group, well))
    counts = {verdict: sum(check.verdict is verdict for check in checks) for verdict in Verdict}
    summary = f"{counts[Verdict.OK]} ok, {counts[Verdict.WARN]} to look at, {counts[Verdict.FAIL]} failed"
    if any(check.safe and check.command for check in ill):
        summary += "; `ccm-orchestrator doctor --fix` does what is safe"
    return Group(*parts, text(summary, "bold"))


def _ill(check: Check) -> RenderableType:
    table = facts()
    title = text(check.name, "bold").append(f"  {plain(check.found)}")
    for sentence, style in ((check.why, "dim"), (check.fix, "")):
        title.append(f"\n{plain(sentence)}", style)
    if check.command:
        title.append(f"\n$ {plain(_from_home(check.command))}", "bold")
    table.add_row(text(*MARKS[check.verdict]), title)
    return Group(table, "")


def _from_home(command: str) -> str:
    """Shorter, so that it stays on one line and can be copied; a shell reads it alike."""
    return re.sub(rf"(?<=\s){re.escape(str(Path.home()))}/(?=\S)", "~/", command)


def _well(group: str, checks: Sequence[Check]) -> RenderableType:
    table = facts()
    table.add_column(overflow="fold")
    for check in checks:
        table.add_row(text(*MARKS[check.verdict]), text(check.name, "bold"), text(check.found))
    return Group(text(group, "dim"), table, "")


def mended_list(mended: Sequence[Mended]) -> RenderableType:
    if not mended:
        return text("There is nothing that could be mended without you.\n")
    table = facts()
    table.add_column(overflow="fold")
    for each in mended:
        mark = text("done", "green") if each.done else text("FAIL", "bold red")
        table.add_row(mark, text(each.check, "bold"), text(f"{_from_home(each.command)}\n{each.said}".strip()))
    return Group(table, "")


def probe_list(probes: Sequence[Mapping[str, str]]) -> RenderableType:
    table = listing("check", "group", "what is looked at", elastic="what is looked at")
    for probe in probes:
        table.add_row(text(probe["name"], "bold"), text(probe["group"]), text(probe["about"]))
    return table
