"""The figures that the benchmarks print are the figures they took."""

import json
import math
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from benchmarks.harness import WARM_UP_ROUNDS, Goal, Report, Samples, Unit, keep, table, take_turns


def test_median_and_p95_are_those_of_the_samples() -> None:
    samples = Samples(tuple(float(value) for value in range(100, 0, -1)))
    assert samples.median == 50.5
    assert samples.p95 == 95.0
    assert Samples((3.0,)).p95 == 3.0
    assert Samples((1.0, 9.0)).p95 == 9.0


async def test_contenders_take_turns_and_warm_up() -> None:
    order: list[str] = []

    def contender(name: str) -> Callable[[], Awaitable[float]]:
        async def sample() -> float:
            order.append(name)
            return float(len(order))

        return sample

    taken = await take_turns({name: contender(name) for name in "abc"}, rounds=3)
    measured = order[WARM_UP_ROUNDS * 3 :]
    assert ["".join(measured[at : at + 3]) for at in (0, 3, 6)] == ["abc", "bca", "cab"]
    assert [len(samples.values) for samples in taken.values()] == [3, 3, 3]
    assert min(value for samples in taken.values() for value in samples.values) > WARM_UP_ROUNDS * 3


@pytest.mark.parametrize(
    ("goal", "met"),
    [
        (Goal("latency", 2.9, 3), True),
        (Goal("latency", 3.1, 3), False),
        (Goal("rate", 12_000, 10_000, at_least=True), True),
        (Goal("rate", 9_000, 10_000, at_least=True), False),
    ],
)
def test_a_goal_is_met_on_its_own_side_of_the_limit(goal: Goal, met: bool) -> None:
    assert goal.met is met


def test_ratios_are_to_the_first_contender_in_table_and_file(tmp_path: Path) -> None:
    samples = {"floor": Samples((0.001, 0.002, 0.003)), "ours": Samples((0.004, 0.005, 0.006))}
    report = Report("case", "how long?", Unit.MILLISECONDS, samples, [Goal("ratio", 2.5, 2)], ["a note"])
    shown = table(report)
    assert "2.50x" in shown
    assert "5.00 ms" in shown
    assert "MISSED  ratio: 2.50, goal at most 2" in shown
    kept = json.loads(keep(report, tmp_path).read_text())
    assert kept["contenders"]["ours"]["ratio"] == 2.5
    assert kept["contenders"]["ours"]["samples"] == [0.004, 0.005, 0.006]
    assert kept["goals"][0]["met"] is False
    assert kept["machine"]["processors"] >= 1


def test_rates_are_shown_as_rates() -> None:
    assert Unit.PER_SECOND.show(0.0001) == "10,000 /s"


def test_a_floor_of_nothing_gives_no_number_that_json_lacks(tmp_path: Path) -> None:
    report = Report("idle", "?", Unit.PERCENT, {"nothing": Samples((0.0,)), "ours": Samples((1.5,))})
    assert report.ratio("ours") == math.inf
    kept = json.loads(keep(report, tmp_path).read_text())
    assert kept["contenders"]["ours"]["ratio"] is None
    assert "1.50 %" in table(report)
