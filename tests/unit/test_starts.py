"""Deaths in a row are counted over processes, and each makes the next start wait longer."""

from __future__ import annotations

from pathlib import Path

import pytest

from ccm_orchestrator.wiring.starts import LONGEST_PAUSE_S, Past, Starts, pause_s


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "starts.json"


def test_two_deaths_cost_nothing_and_from_then_on_the_pause_doubles_up_to_a_minute() -> None:
    assert [pause_s(deaths) for deaths in range(10)] == [0, 0, 0, 1, 2, 4, 8, 16, 32, 60]
    assert pause_s(1_000_000) == LONGEST_PAUSE_S


def test_a_start_that_nothing_follows_was_a_death(path: Path) -> None:
    assert [Starts(path).begin().deaths for _ in range(4)] == [0, 1, 2, 3]


def test_a_stop_in_order_ends_the_row(path: Path) -> None:
    for _ in range(3):
        last = Starts(path)
        last.begin()
    last.stopped()
    assert Starts(path).begin() == Past()


def test_a_death_after_a_long_life_is_the_first_again(path: Path) -> None:
    for _ in range(5):
        last = Starts(path)
        last.begin()
    last.steady()
    assert Starts(path).begin().deaths == 1


def test_last_words_are_handed_on_and_a_start_that_failed_counts(path: Path) -> None:
    first, second = Starts(path), Starts(path)
    first.begin()
    first.gave_up("The loop intake made no progress.")
    assert second.begin() == Past(1, gave_up="The loop intake made no progress.")
    second.refused("The port is taken.")
    past = Starts(path).begin()
    assert (past.deaths, past.why) == (2, "The port is taken.")


def test_one_that_was_refused_before_it_began_leaves_the_others_file_alone(path: Path) -> None:
    Starts(path).begin()
    Starts(path).refused("Another daemon holds the state directory.")
    assert Starts(path).begin() == Past(1)


@pytest.mark.parametrize("content", ["", "[]", "null", '{"deaths": "many"}', "{"])
def test_a_file_that_cannot_be_read_is_none(path: Path, content: str) -> None:
    path.write_text(content)
    assert Starts(path).begin() == Past()
