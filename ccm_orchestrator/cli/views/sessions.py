"""Sessions, and what their agents write, for people."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from rich.console import RenderableType
from rich.text import Text

from ccm_orchestrator.cli.views.plain import ago, text
from ccm_orchestrator.cli.views.tables import listing

if TYPE_CHECKING:
    from ccm_orchestrator.client.conversations import SessionEvent

LONGEST_INPUT = 100
"""Characters of a tool's input that are shown."""


def session_table(sessions: Sequence[Mapping[str, Any]]) -> RenderableType:
    if not sessions:
        return text("There is no session; `session start PROMPT` begins one.")
    table = listing(
        "session",
        "status",
        "turns",
        "last used",
        "project",
        "profile",
        "type",
        elastic="type",
        spare=("profile", "turns", "last used", "project"),
    )
    for each in sessions:
        table.add_row(
            text(each["session_id"], "bold"),
            text(each["status"]),
            str(each["turns"]),
            text(ago(each["last_used"]), "dim"),
            text(each["project"]),
            text(each["profile"]),
            text(each["agent_type"]),
        )
    return table


def event_json(event: SessionEvent) -> str:
    """One line, without what the event has nothing to do with."""
    return json.dumps({name: value for name, value in asdict(event).items() if value is not None})


def spoken(event: SessionEvent) -> Text | None:
    """What a person wants to see of it; None: nothing."""
    if event.type == "error":
        return text(event.error or "", "red")
    if event.type == "status":
        return text(f"{event.status}: {event.detail}" if event.detail else str(event.status), "yellow")
    if event.type != "output":
        return None
    return _of_line(_read(event.data))


def _read(line: str | None) -> Mapping[str, Any]:
    try:
        read = json.loads(line or "")
    except ValueError:
        return {}
    return read if isinstance(read, dict) else {}


def _of_line(line: Mapping[str, Any]) -> Text | None:
    message = line.get("message")
    content = message.get("content") if line.get("type") == "assistant" and isinstance(message, dict) else None
    blocks = [block for block in content if isinstance(block, dict)] if isinstance(content, list) else []
    shown = [part for block in blocks if (part := _of_block(block)) is not None]
    return Text("\n").join(shown) if shown else None


def _of_block(block: Mapping[str, Any]) -> Text | None:
    if block.get("type") == "text" and block.get("text"):
        return text(str(block["text"]))
    if block.get("type") == "tool_use":
        wanted = json.dumps(block.get("input"), ensure_ascii=False)
        return text(f"{block.get('name')} {wanted[:LONGEST_INPUT]}", "dim")
    return None
