"""Systems."""

from __future__ import annotations

from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from ccm_orchestrator.cli.views.plain import duration, text
from ccm_orchestrator.cli.views.tables import listing
from ccm_orchestrator.domain.routing import same_release

SILENT_S = 300.0
"""A system that was not heard of for this long is shown as silent."""


def system_table(systems: list[dict[str, Any]], own_version: str) -> RenderableType:
    if not systems:
        return text("No system was ever here; start one with `ccm-orchestrator serve`.")
    table = listing("system", "name", "version", "agents", "labels", "last heard", "")
    for system in systems:
        table.add_row(
            text(system["system_id"], "bold"),
            text(system["system_name"]),
            text(system["version"] or "unknown"),
            text(f"{system['leased']} of {system['max_agents']}" if system["max_agents"] else str(system["leased"])),
            text(", ".join(system["labels"])),
            _heard(system["silent_s"]),
            text("drains" if system["draining"] else "", "yellow"),
        )
    others = sorted({s["version"] for s in systems if s["version"] and not same_release(s["version"], own_version)})
    if not others:
        return table
    skew = f"Some run another release ({', '.join(others)}; this one is {own_version}): upgrade them one by one."
    return Group(table, "", text(skew, "yellow"))


def _heard(silent_s: float) -> Text:
    return text(f"{duration(max(0.0, silent_s))} ago", "red" if silent_s > SILENT_S else "")
