"""The audit log on a terminal."""

from __future__ import annotations

from io import StringIO
from typing import Any

from rich.console import Console

from ccm_orchestrator.cli.views.audit import audit_table

ENTRY: dict[str, Any] = {
    "seq": 7,
    "at": "2026-11-25T12:00:00Z",
    "caller": "ccm_1a2b",
    "kind": "key",
    "source": "192.0.2.7",
    "action": "DELETE /api/projects/{name}",
    "target": "/api/projects/shop",
    "status": 204,
}


def shown(*entries: dict[str, Any], next_before: int | None = None) -> str:
    console = Console(file=StringIO(), width=160)
    console.print(audit_table({"items": list(entries), "next_before": next_before}))
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()


def test_an_entry_is_one_line_with_who_from_where_and_what() -> None:
    (_, line) = shown(ENTRY).splitlines()
    for word in ("7", "key ccm_1a2b", "192.0.2.7", "204", "DELETE /api/projects/{name}", "/api/projects/shop"):
        assert word in line


def test_a_caller_without_a_name_is_not_named_twice() -> None:
    assert "local local" not in shown(ENTRY | {"caller": "local", "kind": "local"})


def test_what_a_path_holds_neither_breaks_a_line_nor_paints_the_terminal() -> None:
    text = shown(ENTRY | {"target": "/api/\nERROR forged \x1b[31m[red]x"})
    assert len(text.splitlines()) == 2 and "\x1b" not in text and "[red]x" in text


def test_more_pages_are_told_of() -> None:
    assert "--before 7" in shown(ENTRY, next_before=7)
    assert "Nothing" in shown()
