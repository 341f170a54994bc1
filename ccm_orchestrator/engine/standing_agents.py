"""What people and programs may do to standing agents. Every wish is a durable row first; `tending` carries it out."""

from __future__ import annotations

import asyncio
import secrets
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ccm_orchestrator.domain import refusals
from ccm_orchestrator.domain.dialogue import problem_with_message
from ccm_orchestrator.domain.profiles import Profile
from ccm_orchestrator.domain.standing_agent import (
    DEFAULT_IDLE_S,
    StandingAgent,
    StandingMessage,
    Wanted,
    problem_with_idle,
    problem_with_name,
)
from ccm_orchestrator.domain.task import DEFAULT_PROFILE, problem_with_limits
from ccm_orchestrator.engine.awaiting import awaited
from ccm_orchestrator.engine.control import Control
from ccm_orchestrator.engine.tending import StandingState, Tending
from ccm_orchestrator.errors import (
    InputError,
    StandingAgentNotFound,
    UnknownProfile,
    UnknownProject,
    WrongStatus,
)
from ccm_orchestrator.ports.standing import StandingStore, Workshops
from ccm_orchestrator.ports.tasks import Project

CHANGEABLE = ("profile", "model", "system_prompt", "allowed_tools", "idle_s", "time_limit_s", "budget_usd")
"""What `change` may change: all but its name, its project and where it works."""


@dataclass(frozen=True, slots=True)
class NewStandingAgent:
    name: str
    project: str | None = None
    """None: the only one of this machine."""
    profile: str | None = None
    """None: the project's, else `executor`."""
    owner: str | None = None
    model: str | None = None
    system_prompt: str = field(default="", repr=False)
    allowed_tools: tuple[str, ...] | None = None
    idle_s: float = DEFAULT_IDLE_S
    time_limit_s: float | None = None
    budget_usd: float | None = None
    isolated: bool = True
    """In a directory of its own; False: in the project's."""
    started: bool = True


class StandingAgents:
    """Safe to use from one event loop of the process: the API's, or that of a single command."""

    def __init__(
        self,
        store: StandingStore,
        control: Control,
        tending: Tending,
        workshops: Workshops,
        profiles: Mapping[str, Profile],
    ) -> None:
        self._store = store
        self._control = control
        self._tending = tending
        self._workshops = workshops
        self._profiles = profiles

    async def create(self, new: NewStandingAgent) -> StandingAgent:
        """Raises: InputError, UnknownProject, UnknownProfile, InvalidProject, WrongStatus (the name is taken)."""
        limits = problem_with_limits(new.time_limit_s, new.budget_usd)
        if problem := problem_with_name(new.name) or problem_with_idle(new.idle_s) or limits:
            raise InputError(problem)
        project = await self._project(new.project)
        profile = new.profile or project.profile or DEFAULT_PROFILE
        self._check_profile(profile)
        if any(other.owner == new.owner for other in await self._store.named(new.name)):
            raise refusals.standing_name_taken(new.name)
        agent = StandingAgent(
            agent_id=secrets.token_hex(16),
            name=new.name,
            project=project.name,
            profile=profile,
            session_id=str(uuid.uuid4()),
            created_at=self._tending.clock.now(),
            owner=new.owner,
            model=new.model,
            system_prompt=new.system_prompt,
            allowed_tools=new.allowed_tools,
            idle_s=new.idle_s,
            time_limit_s=new.time_limit_s,
            budget_usd=new.budget_usd,
            wanted=Wanted.RUNNING if new.started else Wanted.STOPPED,
        )
        if new.isolated:
            directory = await self._workshops.make(agent.agent_id, agent.name, project.path)
            agent = replace(agent, directory=directory)
        await self._store.add(agent)
        await self._tending.tell(agent)
        return agent

    async def find(self, ref: str, owner: str | None = None) -> StandingAgent:
        """By name, or by id. `owner`: who asks, and sees only its own; None: sees all.

        Raises: StandingAgentNotFound.
        """
        named = [agent for agent in await self._store.named(ref) if owner in (None, agent.owner)]
        if len(named) > 1:
            raise refusals.ambiguous_standing_agent(ref)
        if named:
            return named[0]
        agent = await self._store.agent(ref)
        if owner not in (None, agent.owner):
            raise refusals.standing_agent_not_found(ref)
        return agent

    async def lookup(self, ref: str, owner: str | None = None) -> StandingAgent | None:
        """As `find`; None when there is none."""
        try:
            return await self.find(ref, owner)
        except StandingAgentNotFound:
            return None

    async def agents(self, owner: str | None = None, terminated: bool = False) -> Sequence[StandingState]:
        """Oldest first."""
        seen = [agent for agent in await self._store.agents(terminated) if owner in (None, agent.owner)]
        return list(await asyncio.gather(*(self.state(agent) for agent in seen)))

    async def state(self, agent: StandingAgent) -> StandingState:
        """As it stands now."""
        return await self._tending.state(await self._store.agent(agent.agent_id))

    async def change(self, agent: StandingAgent, changes: Mapping[str, Any]) -> StandingAgent:
        """Of its `CHANGEABLE` fields. They hold from its next process on, which its next message begins when the one
        that lives is of another manner. Raises: InputError, UnknownProfile, WrongStatus (deleted)."""
        self._require_alive(agent)
        changed = replace(await self._store.agent(agent.agent_id), **changes)
        limits = problem_with_limits(changed.time_limit_s, changed.budget_usd)
        if problem := problem_with_idle(changed.idle_s) or limits:
            raise InputError(problem)
        self._check_profile(changed.profile)
        await self._store.save(changed)
        return changed

    async def start(self, agent: StandingAgent) -> StandingAgent:
        """Raises: WrongStatus."""
        self._require_alive(agent)
        agent = await self._want(agent, Wanted.RUNNING)
        task = (await self.state(agent)).task
        if task is not None and task.hold is not None:
            await self._control.release_task(task.task_id)
        await self._tending.tend(agent.agent_id)
        return agent

    async def stop(self, agent: StandingAgent) -> StandingAgent:
        """Its process ends, its conversation stays. Raises: WrongStatus."""
        self._require_alive(agent)
        agent = await self._want(agent, Wanted.STOPPED)
        await self._tending.tend(agent.agent_id)
        return agent

    async def delete(self, agent: StandingAgent) -> StandingAgent:
        """For good. Work in its directory that is nowhere else is kept, and `detail` says so later."""
        self._require_alive(agent)
        agent = await self._want(agent, Wanted.TERMINATED)
        await self._tending.tend(agent.agent_id)
        return await self._store.agent(agent.agent_id)

    # Messages

    async def send(
        self, agent: StandingAgent, text: str, model: str | None = None, message_id: str | None = None
    ) -> StandingMessage:
        """Raises: InputError (empty, too large), WrongStatus (stopped, deleted)."""
        if problem := problem_with_message(text):
            raise InputError(problem)
        self._require_alive(agent)
        if (await self._store.agent(agent.agent_id)).wanted is Wanted.STOPPED:
            raise WrongStatus(f"The agent {agent.name} is stopped: start it first.", agent=agent.name)
        message = await self._store.add_message(agent.agent_id, text, model, message_id)
        if (message.text, message.agent_id) != (text, agent.agent_id):
            raise WrongStatus("The Idempotency-Key was used for another message.", message_id=message.message_id)
        await self._tending.tend(agent.agent_id)
        return await self._store.message(message.message_id)

    async def messages(self, agent: StandingAgent, limit: int = 500) -> Sequence[StandingMessage]:
        """The newest, oldest first."""
        return await self._store.messages(agent.agent_id, limit=limit)

    async def message(self, agent: StandingAgent, message_id: str) -> StandingMessage:
        """Raises: MessageNotFound."""
        message = await self._store.message(message_id)
        if message.agent_id != agent.agent_id:
            raise refusals.message_not_found(message_id)
        return message

    async def settled(self, message: StandingMessage, timeout_s: float) -> StandingMessage:
        """As it stands when nothing more will become of it, or at the timeout."""
        return await awaited(
            self._tending.bus,
            lambda: self._store.message(message.message_id),
            lambda current: current.status.final,
            timeout_s,
        )

    # Parts

    async def _want(self, agent: StandingAgent, wanted: Wanted) -> StandingAgent:
        current = await self._store.agent(agent.agent_id)
        terminated_at = self._tending.clock.now() if wanted is Wanted.TERMINATED else None
        changed = replace(current, wanted=wanted, terminated_at=terminated_at, detail="")
        await self._store.save(changed)
        await self._tending.tell(changed)
        return changed

    def _check_profile(self, profile: str) -> None:
        if profile not in self._profiles:
            known = ", ".join(sorted(self._profiles))
            raise UnknownProfile(f"The profile {profile!r} is not configured; there are: {known}.", profile=profile)

    def _require_alive(self, agent: StandingAgent) -> None:
        if agent.wanted is Wanted.TERMINATED:
            raise WrongStatus(f"The agent {agent.name} was deleted.", agent=agent.name)

    async def _project(self, name: str | None) -> Project:
        projects = {project.name: project for project in await self._tending.queues.local.projects()}
        if name is None:
            if len(projects) == 1:
                return next(iter(projects.values()))
            known = ", ".join(sorted(projects)) or "none; register one with `ccm-orchestrator project add PATH`"
            raise UnknownProject(f"Name the project in which the agent works; there are: {known}.")
        if name not in projects:
            raise refusals.unknown_project(name)
        return projects[name]
