"""The list of machines."""

from __future__ import annotations

from io import StringIO
from typing import Any

from rich.console import Console

from ccm_orchestrator.cli.views.systems import system_table

DESK: dict[str, Any] = {
    "system_id": "desk",
    "system_name": "The [bold]desk[/bold]",
    "version": "0.3.1",
    "max_agents": 10,
    "labels": ["gpu", "linux"],
    "draining": False,
    "silent_s": 4.0,
    "leased": 2,
}


def lines(*systems: dict[str, Any], own_version: str = "0.3.0") -> list[str]:
    console = Console(file=StringIO(), width=160)
    console.print(system_table(list(systems), own_version))
    assert isinstance(console.file, StringIO)
    return [" ".join(line.split()) for line in console.file.getvalue().splitlines()]


def test_a_system_is_one_line_with_all_that_is_known_of_it() -> None:
    _, line = lines(DESK)
    assert line == "desk The [bold]desk[/bold] 0.3.1 2 of 10 gpu, linux 4 s ago"


def test_one_that_drains_and_one_that_never_introduced_itself() -> None:
    unknown = DESK | {"system_id": "shed", "system_name": "shed", "version": "", "max_agents": 0, "labels": []}
    _, drains, shed = lines(DESK | {"draining": True}, unknown | {"silent_s": -3.0})
    assert drains.endswith(" ago drains")
    assert shed == "shed shed unknown 2 0 s ago"


def test_other_releases_are_named_and_patches_and_unknown_ones_are_not() -> None:
    *_, sentence = lines(DESK, DESK | {"version": "0.2.9"}, DESK | {"version": "1.0.0"}, DESK | {"version": ""})
    assert sentence == "Some run another release (0.2.9, 1.0.0; this one is 0.3.0): upgrade them one by one."
    assert "release" not in "".join(lines(DESK, DESK | {"version": ""}))


def test_an_empty_list_says_what_to_do() -> None:
    assert lines() == ["No system was ever here; start one with `ccm-orchestrator serve`."]
