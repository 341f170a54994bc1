"""Projects."""

from __future__ import annotations

from typing import Any

from rich.console import RenderableType

from ccm_orchestrator.cli.views.plain import text
from ccm_orchestrator.cli.views.tables import listing


def project_table(projects: list[dict[str, Any]]) -> RenderableType:
    if not projects:
        return text("No project is registered; add one with `ccm-orchestrator project add DIRECTORY`.")
    table = listing("name", "directory", "profile")
    for project in projects:
        table.add_row(text(project["name"], "bold"), text(project["path"]), text(project["profile"] or ""))
    return table
