"""GET /api/budget: what today has used, beside what it may."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from ccm_orchestrator.cli.views.budget import budget_report
from ccm_orchestrator.domain.caller import Scope
from ccm_orchestrator.domain.events import BusEvent, EventKind
from ccm_orchestrator.domain.spending import Budget
from ccm_orchestrator.engine.spending import Spending
from ccm_orchestrator.errors import Forbidden
from tests.api_house import House, connected
from tests.unit.api.test_doors import key_of
from tests.unit.cli.test_views import shown

USAGE = {"input_tokens": 1000, "output_tokens": 200, "cache_read_tokens": 9, "cost_usd": 1.5}


@pytest.fixture
async def house() -> House:
    house = House()
    budget = Budget(ZoneInfo("Europe/Berlin"), cost_usd=2.0, hold=True)
    house.spending = Spending(budget, house.figures, house.clock, "desk")
    house.restart()
    await house.prepare()
    return house


async def test_it_tells_what_each_project_has_used_since_midnight(house: House) -> None:
    run = await house.agent()
    ended = BusEvent(EventKind.TASK_SUCCEEDED, house.clock.now(), run.task_id, run.run_id, {"usage": USAGE})
    async with connected(house) as ccm:
        before = await ccm.budget()
        assert (before.cost_usd, before.projects, before.spent) == (0.0, (), "")
        await house.events.append([ended])
        day = await ccm.budget()
        assert (day.system_id, day.cost_usd, day.cost_usd_per_day, day.tokens, day.tokens_per_day) == (
            *("desk", 1.5, 2.0),
            *(1200, None),
        )
        assert [(each.project, each.cost_usd, each.tokens) for each in day.projects] == [("blog", 1.5, 1200)]
        assert day.hold and day.spent == "" and day.begins <= house.clock.now() < day.ends
        assert day.begins.astimezone(ZoneInfo("Europe/Berlin")).hour == 0
        await house.events.append([ended])
        assert "3.00 of 2.00 USD" in (await ccm.budget()).spent
        house.clock.advance((day.ends - house.clock.now()).total_seconds())
        assert (await ccm.budget()).cost_usd == 0.0


async def test_a_user_does_not_see_what_others_use(house: House) -> None:
    of_ada = await key_of(house, Scope.READ, owner="ada")
    async with connected(house, of_ada) as ccm:
        with pytest.raises(Forbidden):
            await ccm.budget()
    async with connected(house, await key_of(house, Scope.READ)) as ccm:
        assert (await ccm.budget()).system_id == "desk"


def test_a_person_sees_what_is_left() -> None:
    begins = datetime(2026, 7, 1, tzinfo=UTC)
    day = {
        "system_id": "desk",
        "begins": begins.isoformat(),
        "ends": (begins + timedelta(days=1)).isoformat(),
        "cost_usd": 3.0,
        "cost_usd_per_day": 2.0,
        "tokens": 1200,
        "tokens_per_day": None,
        "hold": True,
        "spent": "Today's budget is spent: 3.00 of 2.00 USD.",
        "projects": [{"project": "blog", "cost_usd": 3.0, "tokens": 1000}, {"project": "", "cost_usd": 0, "tokens": 2}],
    }
    said = shown(budget_report(day))
    assert "$3.00 of $2.00 (150%)" in said and "1 200, and no budget is set" in said
    assert "blog" in said and "not kept any more" in said and "Today's budget is spent" in said
