"""Tasks in a line or a table."""

from __future__ import annotations

from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from ccm_orchestrator.cli.views.plain import ago, text
from ccm_orchestrator.cli.views.tables import listing

STATUS_STYLE = {
    "queued": "cyan",
    "claimed": "cyan",
    "running": "blue",
    "waiting": "yellow",
    "orphaned": "yellow",
    "held": "yellow",
    "succeeded": "green",
    "failed": "red",
    "cancelled": "dim",
}


def short_id(task_id: str) -> str:
    """Long enough to be typed instead of the whole."""
    return task_id[:8]


def status_text(task: dict[str, Any]) -> Text:
    stopping = task["cancel_requested_at"] and task["status"] not in ("succeeded", "failed", "cancelled")
    return text("stopping" if stopping else task["status"], STATUS_STYLE.get(task["status"], ""))


def remark(task: dict[str, Any]) -> str:
    """Why it is where it is: the hold's or the failure's own sentence, else the agent."""
    if task["hold"]:
        return f"{task['hold']['reason']}: {task['hold']['detail']}"
    if task["ended"]:
        return task["ended"]["failure"] or ""
    return task["agent"] or ""


def added_task(task: dict[str, Any]) -> Text:
    line = text("Task ").append_text(text(task["task_id"], "bold"))
    return line.append_text(text(f" is {task['status']} for project {task['project']}."))


def task_line(task: dict[str, Any]) -> Text:
    """`3f2a9c1d  succeeded  Fix the failing test  (why)`"""
    line = text(short_id(task["task_id"]), "bold").append("  ")
    line.append_text(status_text(task)).append("  ").append_text(text(task["title"]))
    return line.append_text(text(f"  ({remark(task)})", "dim")) if remark(task) else line


def task_table(page: dict[str, Any], narrowed: bool = False) -> RenderableType:
    """`narrowed`: not all were asked for."""
    if not page["items"] and narrowed:
        return text("No such tasks; `ccm-orchestrator task list` shows those there are.")
    if not page["items"]:
        return text('No tasks; add one with `ccm-orchestrator task add "What to do"`.')
    table = listing(
        "task", "status", "project", "created", "tries", "title", elastic="title", spare=("tries", "created", "project")
    )
    for task in page["items"]:
        title = text(task["title"])
        table.add_row(
            text(short_id(task["task_id"]), "bold"),
            status_text(task),
            text(task["project"]),
            text(ago(task["created_at"]), "dim"),
            f"{task['attempt']}/{task['max_attempts']}",
            title.append_text(text(f"  {remark(task)}", "dim")) if remark(task) else title,
        )
    if page["next_before"] is None:
        return table
    return Group(table, text(f"There are more: --before {short_id(page['next_before'])}", "dim"))
