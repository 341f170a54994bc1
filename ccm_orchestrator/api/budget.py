"""/api/budget: what the agents of this machine have used today, beside what they may."""

from __future__ import annotations

from datetime import datetime
from typing import Self

from fastapi import APIRouter
from pydantic import Field

from ccm_orchestrator.api.guards import Asker, TokenRoute
from ccm_orchestrator.api.injection import Services
from ccm_orchestrator.api.schemas import Output
from ccm_orchestrator.engine.spending import Day
from ccm_orchestrator.errors import Forbidden

router = APIRouter(prefix="/api", tags=["budget"], route_class=TokenRoute)


class ProjectSpending(Output):
    project: str = Field(description="Empty: of runs that are not kept any more.")
    cost_usd: float
    tokens: int


class BudgetOutput(Output):
    system_id: str
    begins: datetime = Field(description="The midnight that began the day.")
    ends: datetime = Field(description="The next one: then it is counted from nothing.")
    cost_usd: float = Field(description="By runs that ended since, where the agents' own figures tell it.")
    cost_usd_per_day: float | None = Field(description="None: no budget is set.")
    tokens: int = Field(description="By runs that ended since, without those that were read from a cache.")
    tokens_per_day: int | None = Field(description="None: no budget is set.")
    hold: bool = Field(description="Nothing more is begun on a day whose budget is spent.")
    spent: str = Field(description="What of the budget is spent, as a sentence; empty: there is something left.")
    projects: list[ProjectSpending] = Field(description="What has used most first.")

    @classmethod
    def of(cls, day: Day, system_id: str) -> Self:
        return cls(
            system_id=system_id,
            begins=day.begins,
            ends=day.ends,
            cost_usd=day.spent.cost_usd,
            cost_usd_per_day=day.budget.cost_usd,
            tokens=day.spent.tokens,
            tokens_per_day=day.budget.tokens,
            hold=day.budget.hold,
            spent=day.crossed,
            projects=[
                ProjectSpending(project=project, cost_usd=spent.cost_usd, tokens=spent.tokens)
                for project, spent in day.by_project.items()
            ],
        )


@router.get("/budget")
async def show_budget(services: Services, caller: Asker) -> BudgetOutput:
    """What agents have used today. For credentials that see the whole machine: the local token, and API keys without
    an owner."""
    if caller.owner is not None:
        raise Forbidden("The budget tells of everybody's tasks: use an API key that belongs to no user.")
    return BudgetOutput.of(await services.spending.report(), services.options.system_id)
