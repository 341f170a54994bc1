"""When a usage limit that is reached ends, as the status line tells it."""

from __future__ import annotations

from typing import Any

import pytest

from ccm_orchestrator.adapters.claude.status_line import reached_limit_resets_at


def limit(used: float, resets_at: float) -> dict[str, float]:
    return {"used_percentage": used, "resets_at": resets_at}


@pytest.mark.parametrize(
    ("limits", "resets_at"),
    [
        ({}, None),
        ({"five_hour": limit(99.5, 1000)}, None),
        ({"five_hour": limit(100, 1000), "seven_day": limit(40, 9000)}, 1000),
        ({"five_hour": limit(100, 1000), "seven_day": limit(100, 9000)}, 9000),
        ({"five_hour": {"used_percentage": 100}}, None),
        ({"five_hour": "soon"}, None),
    ],
)
def test_the_limit_that_is_used_up_and_ends_last_counts(limits: dict[str, Any], resets_at: float | None) -> None:
    assert reached_limit_resets_at({"rate_limits": limits}) == resets_at
