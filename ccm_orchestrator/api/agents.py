"""/api/agents: look at agents and end them. What concerns a process goes by the name of a standing agent, too."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Query

from ccm_orchestrator.api.access import visible_agent
from ccm_orchestrator.api.guards import Asker, TokenRoute, needs
from ccm_orchestrator.api.injection import Services
from ccm_orchestrator.api.paging import DEFAULT_LIMIT, Before, Limit, Pager
from ccm_orchestrator.api.schemas import ScreenOutput
from ccm_orchestrator.api.standing_schemas import StandingAgentOutput
from ccm_orchestrator.api.task_schemas import AgentOutput, TaskOutput
from ccm_orchestrator.domain.caller import Scope
from ccm_orchestrator.ports.journal import RunQuery

router = APIRouter(prefix="/api", tags=["agents"], route_class=TokenRoute)


@router.get("/agents")
async def list_agents(
    services: Services,
    caller: Asker,
    pager: Pager,
    kind: Annotated[Literal["run", "standing"], Query(description="Runs, or standing agents.")] = "run",
    ended: Annotated[bool, Query(description="Also those that have ended.")] = False,
    task_id: str | None = None,
    project: str | None = None,
    profile: str | None = None,
    before: Before = None,
    limit: Limit = DEFAULT_LIMIT,
) -> list[AgentOutput] | list[StandingAgentOutput]:
    """Newest first."""
    if kind == "standing":
        known = await services.standing.agents(caller.owner, terminated=ended)
        wanted = [each for each in known if project in (None, each.agent.project)]
        wanted = [each for each in wanted if profile in (None, each.agent.profile)]
        page = pager.part(wanted[::-1], lambda each: each.agent.agent_id, before, limit, "before")
        return [StandingAgentOutput.of(state) for state in page]
    if before is not None:
        before = (await visible_agent(services, caller, before)).run.run_id
    query = RunQuery(not ended, task_id, limit + 1, None, caller.owner, project, profile, before)
    found = await services.control.agents(query)
    if len(found) > limit:
        pager.goes_on(before=found[limit - 1].run.run_id)
    return [AgentOutput.of(status) for status in found[:limit]]


@router.get("/agents/{agent}")
async def get_agent(services: Services, caller: Asker, agent: str) -> AgentOutput | StandingAgentOutput:
    """By agent name (`ccm-1f3c9a2b`), run id, task id, or a unique prefix; a standing agent by its name or id."""
    standing = await services.standing.lookup(agent, caller.owner)
    if standing is not None:
        return StandingAgentOutput.of(await services.standing.state(standing))
    return AgentOutput.of(await visible_agent(services, caller, agent))


@router.get("/agents/{agent}/state")
async def get_agent_state(services: Services, caller: Asker, agent: str, explain: bool = False) -> AgentOutput:
    """With `explain=1`: since when, on which evidence, how old that is, and a sentence that says so."""
    status = await visible_agent(services, caller, agent)
    return AgentOutput.of(status, await services.control.explain(status.run.run_id) if explain else None)


@router.get("/agents/{agent}/screen")
async def get_agent_screen(
    services: Services,
    caller: Asker,
    agent: str,
    history_lines: Annotated[int, Query(ge=0, le=10_000)] = 0,
    styled: bool = False,
) -> ScreenOutput:
    """What a person would see in its window, with escape sequences if `styled`."""
    run = (await visible_agent(services, caller, agent)).run
    text = await services.control.screen(run.run_id, history_lines, styled)
    return ScreenOutput(agent=run.name, run_id=run.run_id, text=text)


@router.post("/agents/{agent}/stop", status_code=202)
@needs(Scope.CONTROL)
async def stop_agent(services: Services, caller: Asker, agent: str) -> TaskOutput | StandingAgentOutput:
    """Cancels the task of a run, which ends the agent. A standing agent ends too, keeps its conversation, and takes no
    messages until it is started."""
    standing = await services.standing.lookup(agent, caller.owner)
    if standing is not None:
        stopped = await services.standing.stop(standing)
        return StandingAgentOutput.of(await services.standing.state(stopped))
    run = (await visible_agent(services, caller, agent)).run
    return TaskOutput.of(await services.control.stop_agent(run.run_id))
