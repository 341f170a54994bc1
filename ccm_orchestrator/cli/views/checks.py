"""What the doctor found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType

from ccm_orchestrator.cli.views.plain import text
from ccm_orchestrator.cli.views.tables import facts, listing
from ccm_orchestrator.setup.check import Check, Verdict

if TYPE_CHECKING:
    from ccm_orchestrator.setup.mending import Mended

MARKS = {Verdict.OK: ("ok", "green"), Verdict.WARN: ("warn", "yellow"), Verdict.FAIL: ("FAIL", "bold red")}


def check_list(checks: Sequence[Check]) -> RenderableType:
    """Group by group; of what is not well why it matters, what to do, and the command."""
    table, group = facts(), ""
    table.add_column(overflow="fold")
    for check in checks:
        if check.group != group:
            group = check.group
            table.add_row("", text(group, "dim"), "")
        found = text(check.found)
        if check.verdict is not Verdict.OK:
            found.append(f"\n{check.why}", "dim").append(f"\n→ {check.fix}")
            if check.command:
                found.append(f"\n  {check.command}", "bold")
        table.add_row(text(*MARKS[check.verdict]), text(check.name, "bold"), found)
    counts = {verdict: sum(check.verdict is verdict for check in checks) for verdict in Verdict}
    summary = f"{counts[Verdict.OK]} ok, {counts[Verdict.WARN]} to look at, {counts[Verdict.FAIL]} failed"
    if any(check.safe and check.command for check in checks if check.verdict is not Verdict.OK):
        summary += "; `ccm-orchestrator doctor --fix` does what is safe"
    return Group(table, "", text(summary))


def mended_list(mended: Sequence[Mended]) -> RenderableType:
    if not mended:
        return text("There is nothing that could be mended without you.\n")
    table = facts()
    table.add_column(overflow="fold")
    for each in mended:
        mark = text("done", "green") if each.done else text("FAIL", "bold red")
        table.add_row(mark, text(each.check, "bold"), text(f"{each.command}\n{each.said}".strip()))
    return Group(table, "")


def probe_list(probes: Sequence[Mapping[str, str]]) -> RenderableType:
    table = listing("check", "group", "what is looked at", elastic="what is looked at")
    for probe in probes:
        table.add_row(text(probe["name"], "bold"), text(probe["group"]), text(probe["about"]))
    return table
