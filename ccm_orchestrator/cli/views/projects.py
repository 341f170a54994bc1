"""Projects."""

from __future__ import annotations

from typing import Any

from rich.console import RenderableType
from rich.text import Text

from ccm_orchestrator.cli.views.plain import one_line, text
from ccm_orchestrator.cli.views.tables import listing


def project_table(projects: list[dict[str, Any]]) -> RenderableType:
    if not projects:
        return text("No project is registered; add one with `ccm-orchestrator project add DIRECTORY`.")
    table = listing("name", "directory", "profile")
    for project in projects:
        table.add_row(text(project["name"], "bold"), text(project["path"]), text(project["profile"] or ""))
    return table


def project_report(project: dict[str, Any], report: dict[str, Any]) -> RenderableType:
    head = text(project["name"], "bold").append_text(text(f"  {project['path']}\n"))
    head.append_text(text(f"profile: {project['profile'] or 'executor'}\n"))
    return head.append_text(trust_report(report))


def trust_report(report: dict[str, Any]) -> Text:
    """What the files of the project would do, those first that nobody has approved."""
    if not report["findings"]:
        return text("None of its own files gives agents orders, rights or programs.")
    shown = text("Its own files make agents do this:")
    for finding in sorted(report["findings"], key=lambda each: bool(each["approved"])):
        where = "" if finding["directory"] == report["path"] else f"  in {finding['directory']}"
        shown.append_text(text(f"\n  {one_line(finding['file'] + where)}", "bold"))
        shown.append_text(text("  approved", "green") if finding["approved"] else text("  not approved", "yellow"))
        for effect in finding["effects"]:
            shown.append_text(text(f"\n    {one_line(effect)}"))
    return shown.append_text(text(f"\nfingerprint {report['fingerprint']}", "dim"))
