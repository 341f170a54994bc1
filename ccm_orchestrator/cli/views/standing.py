"""Standing agents and messages."""

from __future__ import annotations

from typing import Any

from rich.console import RenderableType
from rich.text import Text

from ccm_orchestrator.cli.views.plain import ago, text
from ccm_orchestrator.cli.views.tables import listing
from ccm_orchestrator.cli.views.tasks import short_id

STATUS_STYLE = {
    "starting": "cyan",
    "running": "blue",
    "hibernating": "green",
    "stopped": "dim",
    "error": "red",
    "terminated": "dim",
}


def status_text(agent: dict[str, Any]) -> Text:
    return text(agent["status"], STATUS_STYLE.get(agent["status"], ""))


def standing_line(agent: dict[str, Any]) -> Text:
    line = text(agent["agent"], "bold").append("  ").append_text(status_text(agent))
    return line.append_text(text(f"  {agent['detail']}")) if agent["detail"] else line


def standing_table(agents: list[dict[str, Any]]) -> RenderableType:
    if not agents:
        return text("There is no standing agent; `agent create NAME` makes one.")
    table = listing(
        "agent",
        "status",
        "since",
        "project",
        "profile",
        "process",
        "detail",
        elastic="detail",
        spare=("process", "profile", "since", "project"),
    )
    for agent in agents:
        table.add_row(
            text(agent["agent"], "bold"),
            status_text(agent),
            text(ago(agent["run"]["since"] if agent["run"] else agent["created_at"]), "dim"),
            text(agent["project"]),
            text(agent["profile"]),
            text(agent["run"]["agent"] if agent["run"] else ""),
            text(agent["detail"]),
        )
    return table


def message_table(messages: list[dict[str, Any]]) -> RenderableType:
    if not messages:
        return text("Nothing was sent to it.")
    table = listing("message", "status", "sent", "text", "answer", elastic="answer", spare=("sent", "message"))
    for message in messages:
        table.add_row(
            text(short_id(message["message_id"])),
            text(message["status"]),
            text(ago(message["created_at"]), "dim"),
            text(_beginning(message["text"])),
            text(_beginning(message["answer"] or message["detail"])),
        )
    return table


def _beginning(words: str) -> str:
    line = " ".join(words.split())
    return line if len(line) <= 60 else f"{line[:59]}…"
