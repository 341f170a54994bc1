"""One event, one line."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from rich.text import Text

from ccm_orchestrator.cli.views.plain import plain, text
from ccm_orchestrator.cli.views.tasks import STATUS_STYLE, short_id

LONGEST = 200
Data = Mapping[str, Any]


def event_line(event: Mapping[str, Any]) -> Text:
    """`12:03:07  3f2a9c1d ccm-1f3c9a2b  bash_command  make test`"""
    at = datetime.fromisoformat(event["at"]).astimezone()
    line = text(at.strftime("%H:%M:%S"), "dim").append("  ")
    line.append(f"{short_id(event['task_id']) if event['task_id'] else '-':8}  ", "bold")
    line.append(f"{'ccm-' + event['run_id'][:8] if event['run_id'] else '-':12}  ", "dim")
    return line.append(f"{event['kind']:20}  ", _style(event)).append(details(event["kind"], event["data"]))


def details(kind: str, data: Data) -> str:
    """What a person wants to know of it, on one line."""
    told = _TOLD.get(kind, _everything)(data)
    line = " ".join(plain(told).split())
    return line if len(line) <= LONGEST else line[: LONGEST - 1] + "…"


def _style(event: Mapping[str, Any]) -> str:
    kind = event["kind"]
    if kind == "tool_use_error" or kind.startswith("daemon.incident"):
        return "red"
    return STATUS_STYLE.get(kind.removeprefix("task."), "") if kind.startswith("task.") else ""


def _fields(*names: str) -> Callable[[Data], str]:
    return lambda data: " ".join(str(data[name]) for name in names if data.get(name) not in (None, ""))


def _everything(data: Data) -> str:
    return " ".join(f"{name}={value}" for name, value in data.items() if value not in (None, "", [], {}))


def _bash_output(data: Data) -> str:
    ended = "not ended" if data.get("exit_code") is None else f"exit {data['exit_code']}"
    return f"{ended}: {data.get('stdout') or data.get('stderr') or ''}"


def _tool_start(data: Data) -> str:
    parameters = data.get("parameters")
    shown = _everything(parameters) if isinstance(parameters, Mapping) else parameters or ""
    return f"{data.get('tool_name', '')} {shown}"


_TOLD: Mapping[str, Callable[[Data], str]] = {
    "tool_use_start": _tool_start,
    "tool_use_complete": _fields("tool_name"),
    "tool_use_error": _fields("tool_name", "error_message"),
    "file_read": _fields("file_path"),
    "file_edit": _fields("file_path"),
    "file_write": _fields("file_path"),
    "bash_command": _fields("command"),
    "bash_output": _bash_output,
    "agent_output": _fields("text"),
    "agent.state": _fields("state", "dialog"),
}
