"""What agents have used today."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from ccm_orchestrator.cli.views.plain import number, text
from ccm_orchestrator.cli.views.tables import facts, listing

NOT_KNOWN = "(not kept any more)"


def budget_report(day: Mapping[str, Any]) -> RenderableType:
    begins, ends = (datetime.fromisoformat(day[key]) for key in ("begins", "ends"))
    table = facts()
    table.add_row(text("day"), text(f"{begins:%Y-%m-%d} on {day['system_id']}, until {ends.astimezone():%H:%M} here"))
    table.add_row(text("cost"), _of(_dollars(day["cost_usd"]), day["cost_usd_per_day"], day["cost_usd"], _dollars))
    table.add_row(text("tokens"), _of(number(day["tokens"]), day["tokens_per_day"], day["tokens"], number))
    table.add_row(text("when spent"), text("nothing more is begun" if day["hold"] else "agents go on; you are told"))
    parts: list[RenderableType] = [table]
    if day["projects"]:
        parts += ["", _by_project(day["projects"])]
    if day["spent"]:
        parts += ["", text(day["spent"], "bold red")]
    return Group(*parts)


def _of(shown: str, limit: float | None, used: float, written: Any) -> Text:
    if limit is None:
        return text(f"{shown}, and no budget is set")
    share = used / limit
    return text(f"{shown} of {written(limit)} ({share:.0%})", "red" if share >= 1 else "")


def _by_project(projects: list[Mapping[str, Any]]) -> RenderableType:
    table = listing("cost", "tokens", "project", elastic="project")
    for column in table.columns[:2]:
        column.justify = "right"
    for each in projects:
        table.add_row(
            text(_dollars(each["cost_usd"])), text(number(each["tokens"])), text(each["project"] or NOT_KNOWN, "bold")
        )
    return table


def _dollars(value: float) -> str:
    return f"${value:,.2f}"
