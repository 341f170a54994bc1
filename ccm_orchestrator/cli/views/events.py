"""One event, one line."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from ccm_orchestrator.cli.views.plain import plain, text
from ccm_orchestrator.cli.views.tasks import STATUS_STYLE, short_id

LONGEST = 200
Data = Mapping[str, Any]


def event_line(event: Mapping[str, Any]) -> Text:
    """`12:03:07  3f2a9c1d  bash_command          make test`: the id of the task names its agent, too."""
    return _head(event).append(details(event["kind"], event["data"]))


def event_row(event: Mapping[str, Any]) -> RenderableType:
    """The same for a terminal that is not wide enough: what is too long goes on below its own beginning."""
    row = Table.grid()
    row.add_column(no_wrap=True)
    row.add_column(overflow="fold")
    row.add_row(_head(event), text(details(event["kind"], event["data"])))
    return row


def _head(event: Mapping[str, Any]) -> Text:
    at = datetime.fromisoformat(event["at"]).astimezone()
    line = text(at.strftime("%H:%M:%S"), "dim").append("  ")
    line.append_text(text(f"{short_id(event['task_id']) if event['task_id'] else '-':8}  ", "bold"))
    return line.append_text(text(f"{event['kind']:20}  ", _style(event)))


def details(kind: str, data: Data) -> str:
    """What a person wants to know of it, on one line."""
    told = _TOLD.get(kind, _everything)(data)
    line = " ".join(plain(told).split())
    return line if len(line) <= LONGEST else line[: LONGEST - 1] + "…"


def _style(event: Mapping[str, Any]) -> str:
    kind = event["kind"]
    if kind in ("tool_use_error", "daemon.incident", "system.silent"):
        return "red"
    return STATUS_STYLE.get(kind.removeprefix("task."), "") if kind.startswith("task.") else ""


def _fields(*names: str) -> Callable[[Data], str]:
    return lambda data: " ".join(str(data[name]) for name in names if data.get(name) not in (None, ""))


def _everything(data: Data) -> str:
    """What was used comes last, and in short: the line may be cut there."""
    told = [f"{name}={value}" for name, value in data.items() if value not in (None, "", [], {}) and name != "usage"]
    usage = data.get("usage")
    return " ".join([*told, *(_usage(usage) if isinstance(usage, Mapping) else ())])


def _usage(usage: Data) -> Iterator[str]:
    tokens = sum(value for name, value in usage.items() if name.endswith("_tokens") and isinstance(value, int))
    if tokens:
        yield f"tokens={tokens}"
    if usage.get("cost_usd"):
        yield f"cost_usd={usage['cost_usd']}"


def _bash_output(data: Data) -> str:
    ended = "not ended" if data.get("exit_code") is None else f"exit {data['exit_code']}"
    return f"{ended}: {data.get('stdout') or data.get('stderr') or ''}"


def _hook(data: Data) -> str:
    rest = {name: value for name, value in data.items() if name != "hook_event_name"}
    return f"{data.get('hook_event_name', '')} {_everything(rest)}"


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
    "session_start": _fields("source", "model", "session_id"),
    "session_complete": _fields("result"),
    "session_error": _fields("error_message"),
    "permission.requested": _fields("tool_name", "subject", "request_id"),
    "permission.decided": _fields("status", "decision", "decided_by", "tool_name", "subject"),
    "hook": _hook,
}
