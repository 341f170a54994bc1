"""Incidents."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from rich.console import Group, RenderableType

from ccm_orchestrator.cli.views.plain import duration, text
from ccm_orchestrator.cli.views.tables import listing


def incident_table(page: Mapping[str, Any], everything: bool) -> RenderableType:
    if not page["items"]:
        return text("There was no incident." if everything else "No incident is open; --all shows those that are over.")
    table = listing(
        "no", "since", "what", "of", "over after", "detail", elastic="detail", spare=("no", "over after", "of", "since")
    )
    for incident in page["items"]:
        opened = datetime.fromisoformat(incident["opened_at"])
        table.add_row(
            text(str(incident["seq"]), "dim"),
            text(opened.astimezone().strftime("%Y-%m-%d %H:%M:%S")),
            text(incident["kind"].replace("_", " "), "bold"),
            text(incident["subject"]),
            _over(opened, incident["recovered_at"]),
            text(" ".join(incident["detail"].split())),
        )
    if page["next_before"] is None:
        return table
    return Group(table, text(f"There are more: --before {page['next_before']}", "dim"))


def _over(opened: datetime, recovered_at: str | None) -> RenderableType:
    if recovered_at is None:
        return text("open", "red")
    return text(duration((datetime.fromisoformat(recovered_at) - opened).total_seconds()), "green")
