"""What agents have used today, and whether that is too much."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from ccm_orchestrator.domain.incidents import IncidentKind, Trouble
from ccm_orchestrator.domain.spending import Budget
from ccm_orchestrator.errors import StoreError
from ccm_orchestrator.ports.figures import FigureStore, Spent
from ccm_orchestrator.ports.world import Clock

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Day:
    """What today has used, beside what it may use."""

    budget: Budget
    begins: datetime
    ends: datetime
    spent: Spent
    by_project: Mapping[str, Spent]
    crossed: str
    """What is spent, as a sentence; empty: there is something left, or no budget."""


class Spending:
    """Counted from the event log: once from midnight on, then what is new."""

    def __init__(self, budget: Budget, figures: FigureStore, clock: Clock, here: str) -> None:
        self._budget = budget
        self._figures = figures
        self._clock = clock
        self._here = here
        self._day: datetime | None = None
        self.today = Spent()

    def may_begin(self) -> bool:
        """As of the last look. Safe from any thread."""
        return not (self._budget.hold and self._crossed())

    async def report(self) -> Day:
        """As of now. Raises: StoreError."""
        now = self._clock.now()
        begins = self._budget.day_of(now)
        by_project = await self._figures.spent_by_project(begins)
        cost_usd = sum(spent.cost_usd for spent in by_project.values())
        tokens = sum(spent.tokens for spent in by_project.values())
        crossed = self._budget.crossed(cost_usd, tokens)
        return Day(self._budget, begins, self._budget.end_of(now), Spent(cost_usd, tokens), by_project, crossed)

    async def look(self) -> Sequence[Trouble] | None:
        try:
            await self._count()
        except StoreError as error:
            log.warning("what agents use is counted later: %s", error.message)
            return None
        sentence = self._crossed()
        return [Trouble(IncidentKind.BUDGET_SPENT, self._here, "budget", sentence)] if sentence else []

    def _crossed(self) -> str:
        return self._budget.crossed(self.today.cost_usd, self.today.tokens)

    async def _count(self) -> None:
        day = self._budget.day_of(self._clock.now())
        known = self.today if day == self._day else Spent()
        more = await self._figures.spent(day, known.seq)
        self.today = Spent(known.cost_usd + more.cost_usd, known.tokens + more.tokens, more.seq)
        self._day = day
