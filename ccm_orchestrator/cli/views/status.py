"""The daemon and the queue at a glance."""

from __future__ import annotations

from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from ccm_orchestrator.cli.views.agents import agent_table
from ccm_orchestrator.cli.views.plain import ago, text
from ccm_orchestrator.cli.views.tables import facts
from ccm_orchestrator.cli.views.tasks import STATUS_STYLE

DRAINED = " until `ccm-orchestrator system drain --off`"


def status_report(status: dict[str, Any], agents: list[dict[str, Any]], url: str | None) -> RenderableType:
    """What `status --json` prints, and the agents that live. `url` None: no daemon runs."""
    table = facts()
    table.add_row("daemon", _daemon(status, url))
    table.add_row("system", text(f"{status['system_id']} · ccm-orchestrator {status['version']}"))
    table.add_row("agents", f"{status['agents']} of at most {status['max_agents']}")
    table.add_row("tasks", _tasks(status["tasks"]))
    if status["draining"]:
        table.add_row("drained", text("claims nothing new", "yellow").append(DRAINED))
    if status["incidents"]:
        table.add_row("incidents", _incidents(status["incidents"]))
    if status.get("supabase"):
        table.add_row("supabase", _supabase(status["supabase"]))
    return Group(table, "", agent_table(agents)) if agents else table


def _incidents(kinds: list[str]) -> Text:
    """`tmux server lost; see `ccm-orchestrator incident list``"""
    told = ", ".join(dict.fromkeys(kind.replace("_", " ") for kind in kinds))
    return text(told, "red").append("; see `ccm-orchestrator incident list`")


def _supabase(health: dict[str, Any]) -> Text:
    style = {"live": "green", "refused": "red", "away": "yellow", "degraded": "yellow"}.get(health["state"], "")
    told = text(health["state"], style)
    if health["since"]:
        told.append(f" since {ago(health['since'])}")
    for sentence in filter(None, (health["last_error"], *health["warnings"])):
        told.append_text(text(f"\n{sentence}"))
    return told


def _daemon(status: dict[str, Any], url: str | None) -> Text:
    if url is None:
        return text("does not run", "yellow").append("; start it with `ccm-orchestrator serve`")
    if status["trouble"]:
        return text(status["trouble"], "red").append(f" at {url}")
    return text("runs", "green").append(f" at {url}, since {ago(status['started_at'])}")


def _tasks(counts: dict[str, int]) -> Text:
    told = [text(f"{count} {status}", STATUS_STYLE.get(status, "")) for status, count in counts.items() if count]
    return Text(" · ").join(told) if told else text("none")
