"""The audit log."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from ccm_orchestrator.cli.views.plain import text
from ccm_orchestrator.cli.views.tables import listing


def audit_table(page: Mapping[str, Any]) -> RenderableType:
    entries = page["items"]
    if not entries:
        return text("Nothing of that kind was recorded.")
    table = listing(
        "no",
        "when",
        "who",
        "from",
        "answer",
        "action",
        "target",
        elastic="target",
        spare=("no", "from", "answer", "when"),
    )
    for entry in entries:
        at = datetime.fromisoformat(entry["at"]).astimezone()
        table.add_row(
            text(str(entry["seq"]), "dim"),
            text(at.strftime("%Y-%m-%d %H:%M:%S")),
            text(who(entry), "bold"),
            text(entry["source"]),
            _answer(entry["status"]),
            text(entry["action"]),
            text(" ".join(entry["target"].split())),
        )
    if page["next_before"] is None:
        return table
    return Group(table, text(f"There are more: --before {page['next_before']}", "dim"))


def who(entry: Mapping[str, Any]) -> str:
    """`local`, `key ccm_1a2b`, `user 7f…`: a kind of caller that has no name of its own is not named twice."""
    return entry["caller"] if entry["caller"] == entry["kind"] else f"{entry['kind']} {entry['caller']}"


def _answer(status: int) -> Text:
    return text(str(status), "red" if status >= 400 else "green")
