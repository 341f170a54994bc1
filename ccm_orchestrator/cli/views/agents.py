"""Agents and messages."""

from __future__ import annotations

from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from ccm_orchestrator.cli.views.plain import ago, duration, text
from ccm_orchestrator.cli.views.tables import facts, listing
from ccm_orchestrator.cli.views.tasks import short_id

STATE_STYLE = {
    "spawning": "cyan",
    "initializing": "cyan",
    "working": "blue",
    "waiting": "yellow",
    "complete": "green",
    "error": "red",
    "unknown": "magenta",
    "gone": "dim",
}
INPUT_LENGTH = 300


def state_text(agent: dict[str, Any]) -> Text:
    dialog = f" ({agent['dialog']})" if agent["dialog"] else ""
    return text(agent["state"] + dialog, STATE_STYLE.get(agent["state"], ""))


def agent_table(agents: list[dict[str, Any]]) -> RenderableType:
    if not agents:
        return text("No agents live; `--all` also lists those that have ended.")
    table = listing(
        "agent", "state", "since", "project", "task", "title", elastic="title", spare=("task", "since", "project")
    )
    for agent in agents:
        table.add_row(
            text(agent["agent"], "bold"),
            state_text(agent),
            text(ago(agent["since"]), "dim"),
            text(agent["project"]),
            text(short_id(agent["task_id"])),
            text(agent["title"] or ""),
        )
    return table


def agent_state(agent: dict[str, Any]) -> RenderableType:
    line = text(agent["agent"], "bold").append("  ").append_text(state_text(agent))
    line.append_text(text(f"  since {ago(agent['since'])}", "dim"))
    if agent.get("ending"):
        line.append_text(text(f"\n{agent['ending']}"))
    return Group(line, _explanation(agent["explanation"])) if agent["explanation"] else line


def _explanation(explanation: dict[str, Any]) -> RenderableType:
    table = facts()
    table.add_row("because", text(explanation["sentence"]))
    evidence = explanation["evidence"]
    if evidence:
        table.add_row("evidence", text(f"{evidence['source']}: {evidence['signal']} {evidence['detail']}".rstrip()))
        table.add_row("its age", duration(max(evidence["age_s"], 0.0)))
    if explanation["tools_running"]:
        table.add_row("tools", f"{len(explanation['tools_running'])} running")
    if explanation["background_work"]:
        table.add_row("background", "work that will wake it")
    table.add_row("sign of life", text(ago(explanation["last_sign_of_life"])))
    return table


def message_line(message: dict[str, Any]) -> Text:
    return text(f"Message {short_id(message['message_id'])} is {message['status']}.")
