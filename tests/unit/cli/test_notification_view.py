"""What people were told, as a person sees it."""

from __future__ import annotations

from typing import Any

from rich.console import Console

from ccm_orchestrator.cli.views.notifications import notification_table


def shown(*items: dict[str, Any], next_before: int | None = None) -> str:
    console = Console(width=120, record=True, color_system=None)
    console.print(notification_table({"items": list(items), "next_before": next_before}))
    return " ".join(console.export_text().split())


def told(**changes: Any) -> dict[str, Any]:
    known = {"seq": 7, "at": "2026-03-01T02:00:00+00:00", "target": "phone", "title": "A task failed", "count": 1}
    return known | {"status": "sent", "tries": 1, "error": None, "body": "It broke.\nccm-orchestrator"} | changes


def test_what_was_sent_what_waits_and_what_failed() -> None:
    assert "phone A task failed sent It broke. ccm-orchestrator" in shown(told())
    assert "queued, 2 tries" in shown(told(status="queued", tries=2))
    assert "A task failed (3 times) failed refused with 503" in shown(
        told(status="failed", count=3, error="refused with 503")
    )


def test_nothing_and_more() -> None:
    assert shown() == "Nobody was told anything of that kind."
    assert "--before 7" in shown(told(), next_before=7)
