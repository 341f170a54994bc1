"""Incidents as a person sees them."""

from __future__ import annotations

from typing import Any

from rich.console import Console

from ccm_orchestrator.cli.views.incidents import incident_table


def shown(page: dict[str, Any], everything: bool = False) -> str:
    console = Console(width=100, record=True, color_system=None)
    console.print(incident_table(page, everything))
    return console.export_text()


def incident(recovered_at: str | None) -> dict[str, Any]:
    return {
        "seq": 7,
        "kind": "daemon_crashed",
        "subject": "attic",
        "detail": "The daemon ended\nwithout saying goodbye.",
        "opened_at": "2026-03-01T02:00:00+00:00",
        "recovered_at": recovered_at,
    }


def test_an_open_one_says_so_and_one_that_is_over_how_long_it_took() -> None:
    text = shown({"items": [incident(None), incident("2026-03-01T02:00:04+00:00")], "next_before": None})
    assert "daemon crashed" in text and "open" in text and "4 s" in text
    assert "ended without saying goodbye" in text


def test_nothing_wrong_is_said_in_words() -> None:
    assert "No incident is open; --all shows those that are over." in shown({"items": [], "next_before": None})
    assert "There was no incident." in shown({"items": [], "next_before": None}, everything=True)


def test_more_pages_are_announced() -> None:
    assert "--before 7" in shown({"items": [incident(None)], "next_before": 7})
