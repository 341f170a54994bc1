"""What people were told."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from rich.console import Group, RenderableType

from ccm_orchestrator.cli.views.plain import text
from ccm_orchestrator.cli.views.tables import listing

COLOURS = {"queued": "yellow", "sent": "green", "failed": "red", "withdrawn": "dim"}


def notification_table(page: Mapping[str, Any]) -> RenderableType:
    if not page["items"]:
        return text("Nobody was told anything of that kind.")
    table = listing("no", "when", "to", "what", "status", "says", elastic="says", spare=("no", "to", "when"))
    for told in page["items"]:
        at = datetime.fromisoformat(told["at"]).astimezone()
        times = f" ({told['count']} times)" if told["count"] > 1 else ""
        body = " ".join((told["error"] if told["status"] == "failed" else told["body"]).split())
        table.add_row(
            text(str(told["seq"]), "dim"),
            text(at.strftime("%Y-%m-%d %H:%M:%S")),
            text(told["target"]),
            text(f"{told['title']}{times}", "bold"),
            text(_status(told), COLOURS[told["status"]]),
            text(body),
        )
    if page["next_before"] is None:
        return table
    return Group(table, text(f"There are more: --before {page['next_before']}", "dim"))


def _status(told: Mapping[str, Any]) -> str:
    """`queued`, `queued, 3 tries`."""
    waits = told["status"] == "queued" and told["tries"]
    return f"queued, {told['tries']} {'try' if told['tries'] == 1 else 'tries'}" if waits else str(told["status"])
