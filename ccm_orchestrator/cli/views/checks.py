"""What the doctor found."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group, RenderableType

from ccm_orchestrator.cli.views.plain import text
from ccm_orchestrator.cli.views.tables import facts
from ccm_orchestrator.setup.check import Check, Verdict

MARKS = {Verdict.OK: ("ok", "green"), Verdict.WARN: ("warn", "yellow"), Verdict.FAIL: ("FAIL", "bold red")}


def check_list(checks: Sequence[Check]) -> RenderableType:
    table = facts()
    table.add_column(overflow="fold")
    for check in checks:
        found = text(check.found)
        if check.verdict is not Verdict.OK:
            found.append(f"\n{check.why}", "dim").append(f"\n→ {check.fix}")
        table.add_row(text(*MARKS[check.verdict]), text(check.name, "bold"), found)
    counts = {verdict: sum(check.verdict is verdict for check in checks) for verdict in Verdict}
    summary = f"{counts[Verdict.OK]} ok, {counts[Verdict.WARN]} to look at, {counts[Verdict.FAIL]} failed"
    return Group(table, "", text(summary))
