"""What `init` is about to do."""

from __future__ import annotations

from pathlib import Path

from rich.console import Group, RenderableType

from ccm_orchestrator.cli.views.plain import text
from ccm_orchestrator.cli.views.tables import facts
from ccm_orchestrator.setup.planning import Plan
from ccm_orchestrator.setup.wishes import Decided, ServiceKind

SERVICES = {
    ServiceKind.USER: "keep the daemon running, as a service of this user",
    ServiceKind.SYSTEM: "keep the daemon running, as a service of the machine",
    ServiceKind.NONE: "none; start the daemon with `ccm-orchestrator serve`",
}


def plan_view(plan: Plan, decided: Decided, config: Path) -> RenderableType:
    table = facts()
    settings = [f"{change.key}: {_was(change.before)} → {change.after}" for change in plan.changes]
    if settings:
        table.add_row(text("settings", "bold"), text("\n".join([str(config), *(f"  {line}" for line in settings)])))
    else:
        table.add_row(text("settings", "bold"), text(f"{config} stays as it is"))
    for file in plan.secret_files:
        table.add_row(text("secret", "bold"), text(f"{file}, readable by you alone"))
    projects = "\n".join(map(str, plan.projects)) or "none to be added"
    table.add_row(text("projects", "bold"), text(projects))
    table.add_row(text("service", "bold"), text(SERVICES[decided.service]))
    then = "check everything"
    then += ", send a test message" if decided.notify_test else ""
    then += ", and run a task with a scripted model" if decided.trial else ""
    table.add_row(text("then", "bold"), text(then))
    return Group("", table)


def _was(value: object) -> str:
    return "not set" if value is None else str(value)
