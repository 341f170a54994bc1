"""Which system may take which task."""

from __future__ import annotations

import pytest

from ccm_orchestrator.domain.routing import problem_with_labels, same_release, suits


@pytest.mark.parametrize(
    ("meant_for", "wanted", "labels", "may"),
    [
        (None, (), (), True),
        (None, (), ("gpu",), True),
        (None, ("gpu",), ("linux", "gpu"), True),
        (None, ("gpu", "linux"), ("linux", "gpu"), True),
        (None, ("gpu", "linux"), ("gpu",), False),
        (None, ("gpu",), (), False),
        (None, ("GPU",), ("gpu",), False),
        ("here", (), (), True),
        ("here", ("gpu",), ("gpu",), True),
        ("here", ("gpu",), (), False),
        ("there", (), ("gpu",), False),
        ("there", ("gpu",), ("gpu",), False),
    ],
)
def test_a_system_must_be_the_one_meant_and_have_all_that_is_wanted(
    meant_for: str | None, wanted: tuple[str, ...], labels: tuple[str, ...], may: bool
) -> None:
    assert suits(meant_for, wanted, "here", labels) is may


def test_labels_are_names_and_the_first_that_is_none_is_quoted() -> None:
    assert problem_with_labels(()) is None
    assert problem_with_labels(("gpu", "mac-mini.2", "a_b", "x" * 63, "9")) is None
    problem = problem_with_labels(("gpu", "two words", "-dash"))
    assert problem is not None and problem.endswith("got: 'two words'.")


@pytest.mark.parametrize(
    ("version", "other", "same"),
    [
        ("0.1.0", "0.1.0", True),
        ("0.1.0", "0.1.9", True),
        ("0.1.0", "0.1.1rc1", True),
        ("0.1.0", "0.2.0", False),
        ("1.0.0", "2.0.0", False),
        ("0.1.0", "0.10.0", False),
    ],
)
def test_releases_are_told_apart_by_all_but_the_patch(version: str, other: str, same: bool) -> None:
    assert same_release(version, other) is same
