"""Whoever adds a task that no machine can take is told so at once."""

from collections.abc import Sequence

import pytest

from ccm_orchestrator.cli.commands.add_task import nobody_for

DESK = {"system_id": "desk", "labels": ["linux", "gpu"]}
LAPTOP = {"system_id": "laptop", "labels": []}


@pytest.mark.parametrize(
    ("system_id", "labels", "told"),
    [
        (None, [], None),
        (None, ["gpu"], None),
        (None, ["gpu", "linux"], None),
        ("desk", ["gpu"], None),
        (None, ["gpu", "mac"], "No system has all of the labels gpu, mac"),
        ("laptop", ["gpu"], "No system has all of the labels gpu"),
        ("tower", [], "No system is called tower: the task waits until one is. Known: desk, laptop."),
    ],
)
def test_only_what_no_machine_can_take_is_worth_a_word(
    system_id: str | None, labels: Sequence[str], told: str | None
) -> None:
    said = nobody_for({"system_id": system_id, "labels": labels}, [DESK, LAPTOP])
    assert said is None if told is None else said is not None and said.startswith(told)
