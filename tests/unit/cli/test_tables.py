"""Tables on terminals of all widths."""

import io

import pytest
from rich.console import Console

from ccm_orchestrator.cli.views.tables import LEGIBLE, listing


def lines(width: int, title: str = "Fix the failing test of the shop") -> list[str]:
    table = listing("task", "status", "project", "created", "title", elastic="title", spare=("created", "project"))
    table.add_row("47ae3497", "succeeded", "shop", "2 min ago", title)
    console = Console(file=io.StringIO(), width=width)
    console.print(table)
    written = console.file
    assert isinstance(written, io.StringIO)
    return [line.rstrip() for line in written.getvalue().splitlines()]


def test_all_is_shown_where_there_is_room() -> None:
    assert lines(100) == [
        "task      status     project  created    title",
        "47ae3497  succeeded  shop     2 min ago  Fix the failing test of the shop",
    ]


def test_first_the_elastic_column_is_cut() -> None:
    assert lines(60)[1] == "47ae3497  succeeded  shop     2 min ago  Fix the failing te…"


def test_then_spare_columns_are_left_out_one_by_one() -> None:
    assert lines(50) == ["task      status     project  title", "47ae3497  succeeded  shop     Fix the failing tes…"]
    assert lines(40) == ["task      status     title", "47ae3497  succeeded  Fix the failing te…"]


@pytest.mark.parametrize("width", range(33, 120))
def test_no_word_is_broken_and_no_line_is_longer_than_the_terminal(width: int) -> None:
    head, row = lines(width)
    assert row.startswith("47ae3497  succeeded  ") and max(len(head), len(row)) <= width
    assert len(row.split("  ")[-1]) >= LEGIBLE


def test_a_short_title_needs_no_more_than_it_has() -> None:
    assert lines(46, "Hi")[1] == "47ae3497  succeeded  shop     2 min ago  Hi"
