"""The budget of a day: what crosses it, when it is over, and that nothing more is begun where that is wanted."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from ccm_orchestrator.domain.events import BusEvent, EventKind
from ccm_orchestrator.domain.spending import Budget
from ccm_orchestrator.domain.task import TaskStatus
from ccm_orchestrator.engine.parts import Parts
from ccm_orchestrator.engine.spending import Spending
from ccm_orchestrator.fakes.clock import FakeClock
from ccm_orchestrator.fakes.memory_figures import MemoryFigures
from ccm_orchestrator.fakes.memory_journal import MemoryEventStore, MemoryJournal
from ccm_orchestrator.fakes.memory_tasks import MemoryTaskStore
from tests.unit.engine.house import House, house

BERLIN = ZoneInfo("Europe/Berlin")
NOON = datetime(2026, 7, 1, 12, tzinfo=UTC)


class Scene:
    def __init__(self, budget: Budget) -> None:
        self.clock, self.events = FakeClock(NOON), MemoryEventStore()
        self._figures = MemoryFigures(
            MemoryTaskStore(self.clock), MemoryJournal(self.clock), self.clock, events=self.events
        )
        self._budget = budget
        self.restart()

    def restart(self) -> None:
        self.spending = Spending(self._budget, self._figures, self.clock, "desk")

    async def used(self, cost_usd: float | None, tokens: int = 0) -> None:
        usage = {"cost_usd": cost_usd, "output_tokens": tokens}
        await self.events.append([BusEvent(EventKind.TASK_SUCCEEDED, self.clock.now(), "1", "run", {"usage": usage})])

    async def says(self) -> str:
        return "".join(trouble.detail for trouble in await self.spending.look() or ())


async def test_a_budget_is_spent_until_midnight_where_its_owner_lives() -> None:
    scene = Scene(Budget(BERLIN, cost_usd=1.0, hold=True))
    await scene.used(0.6)
    assert await scene.says() == "" and scene.spending.may_begin()
    await scene.used(0.4)
    assert "1.00 of 1.00 USD" in await scene.says()
    assert not scene.spending.may_begin()
    scene.restart()
    assert "1.00 of 1.00 USD" in await scene.says(), "a restart forgets nothing"
    scene.clock.advance(10 * 3600 - 1)
    assert await scene.says()
    scene.clock.advance(1)
    assert await scene.says() == "" and scene.spending.may_begin()


@pytest.mark.parametrize("hold", [False, True])
async def test_tokens_have_a_budget_of_their_own(hold: bool) -> None:
    scene = Scene(Budget(BERLIN, tokens=100, hold=hold))
    await scene.used(None, 99)
    assert await scene.says() == ""
    await scene.used(None, 1)
    assert "100 of 100 tokens" in await scene.says()
    assert scene.spending.may_begin() is not hold


async def test_without_a_budget_nothing_is_ever_too_much() -> None:
    scene = Scene(Budget(BERLIN, hold=True))
    await scene.used(1e9, 10**12)
    assert await scene.says() == "" and scene.spending.may_begin()
    assert scene.spending.today.tokens == 10**12


class Frugal(House):
    may_begin = True

    def parts(self) -> Parts:
        built = super().parts()
        object.__setattr__(built, "may_begin", lambda: self.may_begin)
        return built


async def test_nothing_more_is_begun_while_it_is_not_allowed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.unit.engine.house.House", Frugal)
    async with house(tmp_path) as home:
        assert isinstance(home, Frugal)
        home.may_begin = False
        await home.start()
        task_id = await home.add()
        await home.settled()
        assert await home.status(task_id) is TaskStatus.QUEUED
        home.may_begin = True
        await home.until_status(task_id, TaskStatus.RUNNING)
