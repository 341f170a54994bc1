"""Carries out what is wanted of standing agents: hands their messages over, and notes what became of each.

A message goes to the run that goes on, or becomes the prompt of a new task, which goes on with the conversation. Every
step may be repeated: the ids of tasks and receipts are made of the message's own, so nothing is sent twice.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

from ccm_orchestrator.domain.agent import AgentState
from ccm_orchestrator.domain.carrying import Receipt
from ccm_orchestrator.domain.dialogue import MessageStatus
from ccm_orchestrator.domain.events import BusEvent, EventKind
from ccm_orchestrator.domain.made_ids import made_of
from ccm_orchestrator.domain.options import RunOptions
from ccm_orchestrator.domain.run import RunState
from ccm_orchestrator.domain.standing_agent import (
    StandingAgent,
    StandingMessage,
    StandingStatus,
    Wanted,
    status_of,
)
from ccm_orchestrator.domain.task import NewTask, Task, TaskStatus
from ccm_orchestrator.engine.bus import Bus
from ccm_orchestrator.engine.control import AgentStatus, Control
from ccm_orchestrator.engine.heartbeats import Heart
from ccm_orchestrator.engine.queues import Queues
from ccm_orchestrator.engine.receipts import Receipts
from ccm_orchestrator.errors import InputError, OrchestratorError, RunNotFound, TaskNotFound, WrongStatus
from ccm_orchestrator.ports.standing import StandingStore, Workshops
from ccm_orchestrator.ports.world import Clock

log = logging.getLogger(__name__)

SWEEP_S = 5.0
LONGEST_TENDING_S = 600.0
"""Of one agent: a working copy of a large repository may be made for it."""
SOURCE = "standing"
STOPPED = "The agent was stopped."
_NEWS = frozenset(
    {EventKind.MESSAGE, EventKind.AGENT_STATE}
    | {EventKind.TASK_RUNNING, EventKind.TASK_QUEUED, EventKind.TASK_HELD}
    | {EventKind.TASK_SUCCEEDED, EventKind.TASK_FAILED, EventKind.TASK_CANCELLED}
)
_LIVE = frozenset({TaskStatus.RUNNING, TaskStatus.WAITING})


@dataclass(frozen=True, slots=True)
class StandingState:
    agent: StandingAgent
    status: StandingStatus
    task: Task | None
    run: AgentStatus | None
    """The newest one of its task."""


class Tending:
    """Used from one event loop, where `run` follows the events; without a daemon, single calls of `tend` suffice."""

    def __init__(
        self,
        store: StandingStore,
        control: Control,
        queues: Queues,
        receipts: Receipts,
        bus: Bus,
        workshops: Workshops,
        clock: Clock,
    ) -> None:
        self.queues = queues
        self.bus = bus
        self.clock = clock
        self._store = store
        self._control = control
        self._receipts = receipts
        self._workshops = workshops
        self._turns: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._told: dict[str, StandingStatus] = {}

    async def run(self, heart: Heart) -> None:
        """For ever. What cannot be done now is tried again at the next sweep."""
        cursor = await self.bus.log.last_seq()
        await self._sweep(heart)
        async for stored in self.bus.follow(cursor, idle_s=min(SWEEP_S, heart.idle_s), kinds=_NEWS):
            await heart.turn()
            if stored is None:
                await self._sweep(heart)
            elif stored.event.kind in _NEWS and stored.event.task_id is not None:
                await self._heard(stored.event.task_id, heart)

    async def _sweep(self, heart: Heart) -> None:
        for agent_id in await self._store.unsettled():
            await self._try(agent_id, heart)

    async def _heard(self, task_id: str, heart: Heart) -> None:
        for agent in await self._store.agents():
            if agent.task_id == task_id:
                await self._try(agent.agent_id, heart)

    async def _try(self, agent_id: str, heart: Heart) -> None:
        try:
            await heart.during(self.tend(agent_id), LONGEST_TENDING_S)
        except OrchestratorError as error:
            log.warning("standing agent %s is tended later: %s", agent_id[:8], error.message)

    async def tend(self, agent_id: str) -> None:
        """Everything that can be done for it now. Raises: StoreError, InputError."""
        async with self._turns[agent_id]:
            state = await self.state(await self._store.agent(agent_id))
            if state.agent.wanted is not Wanted.RUNNING:
                state = await self._end(state)
            messages = await self._store.messages(agent_id, open_only=True)
            messages = [await self._receipts.note(state.agent, message) for message in messages]
            state = replace(state, agent=await self._keep_session(state))
            if state.agent.wanted is Wanted.RUNNING:
                await self._hand_over(state, [message for message in messages if not message.status.final])
            else:
                await self._take_leave(state, messages)
            agent = await self._store.agent(agent_id)
            await self.tell(agent)
        if agent.cleared:  # nothing will become of it any more
            self._told.pop(agent_id, None)
            self._turns.pop(agent_id, None)

    async def state(self, agent: StandingAgent) -> StandingState:
        task, run = None, None
        if agent.task_id is not None:
            try:
                task = await self.queues.local.get(agent.task_id)
                run = await self._control.agent(agent.task_id)
            except (TaskNotFound, RunNotFound):
                pass  # deleted by hand, or not begun
        return StandingState(agent, status_of(agent, task, run.view.state if run else None), task, run)

    async def tell(self, agent: StandingAgent) -> None:
        """Publishes its status when it has changed."""
        status = (await self.state(agent)).status
        if self._told.get(agent.agent_id) is status:
            return
        self._told[agent.agent_id] = status
        data = {"agent_id": agent.agent_id, "agent": agent.name, "status": status}
        await self.bus.publish(BusEvent(EventKind.STANDING_AGENT, self.clock.now(), agent.task_id, None, data))

    # --- messages ---

    async def _hand_over(self, state: StandingState, messages: Sequence[StandingMessage]) -> None:
        """In order; as far as the agent can take them now."""
        agent, task, run = state.agent, state.task, state.run
        for index, message in enumerate(messages):
            if message.task_id is not None:
                continue
            if task is None or task.status.terminal:
                await self._begin(agent, message)
                return
            if run is None or run.run.state is RunState.ENDED or task.status not in _LIVE:
                return
            if not _fits(task, self._carrier(agent, message)):
                if index == 0 and run.view.state is AgentState.COMPLETE:
                    await self._stop_task(task)  # its next process is of the other model, or has the other limits
                return
            if not await self._pass_on(message, run):
                return

    async def _begin(self, agent: StandingAgent, message: StandingMessage) -> None:
        """By a new task, whose prompt it is."""
        new = self._carrier(agent, message)
        task = (await self._control.submit(new)).task
        await self._store.save(replace(agent, model=new.model, task_id=task.task_id, detail=""))
        if task.task_id == new.task_id:
            await self._store.save_message(replace(message, task_id=task.task_id, tries=message.tries + 1))

    def _carrier(self, agent: StandingAgent, message: StandingMessage) -> NewTask:
        """The task that would begin a process with this message."""
        return NewTask(
            project=agent.project,
            prompt=message.text,
            profile=agent.profile,
            max_attempts=1,
            time_limit_s=agent.time_limit_s,
            budget_usd=agent.budget_usd,
            model=message.model or agent.model,
            tags=(f"agent:{agent.name}",),
            source=SOURCE,
            dedup_key=f"standing:{agent.agent_id}",
            task_id=made_of(message.message_id, str(message.tries)),
            owner=agent.owner,
            options=RunOptions(
                session_id=agent.session_id,
                print_mode=False,
                allowed_tools=agent.allowed_tools,
                system_prompt=agent.system_prompt,
                directory=agent.directory,
                linger_s=agent.idle_s,
            ),
        )

    async def _pass_on(self, message: StandingMessage, run: AgentStatus) -> bool:
        """To the run that goes on; False when it has just ended."""
        receipt_id = made_of(message.message_id, run.run.run_id)
        try:
            await self._control.send(run.run.run_id, message.text, receipt_id)
        except InputError as error:
            log.info("message %s waits: %s", message.message_id[:8], error.message)
            return False
        carried = replace(message, task_id=run.run.task_id, run_id=run.run.run_id, tries=message.tries + 1)
        await self._store.save_message(carried)
        return True

    # --- the ends of things ---

    async def _keep_session(self, state: StandingState) -> StandingAgent:
        """A person may have begun another conversation in its window (`/clear`): that one is gone on with."""
        agent, result = state.agent, state.task.result if state.task else None
        if result is not None and result.session_id is not None and result.session_id != agent.session_id:
            agent = replace(agent, session_id=result.session_id)
            await self._store.save(agent)
        return agent

    async def _end(self, state: StandingState) -> StandingState:
        if state.task is None or state.task.status.terminal:
            return state
        await self._stop_task(state.task)
        return await self.state(state.agent)

    async def _stop_task(self, task: Task) -> None:
        with contextlib.suppress(WrongStatus):  # it has just ended by itself
            await self._control.stop_task(task.task_id)

    async def _take_leave(self, state: StandingState, messages: Sequence[StandingMessage]) -> None:
        """Of messages that nobody carries, and of its directory once its process has ended."""
        for message in messages:
            if message.task_id is None and not message.status.final:
                await self._receipts.settle(state.agent, message, Receipt(MessageStatus.UNDELIVERED, STOPPED))
        ended = state.task is None or state.task.status.terminal
        agent = state.agent
        if agent.wanted is Wanted.TERMINATED and ended and not agent.cleared:
            detail = await self._clear(agent)
            await self._store.save(replace(agent, cleared=True, detail=detail))

    async def _clear(self, agent: StandingAgent) -> str:
        if agent.directory is None:
            return ""
        projects = {project.name: project.path for project in await self.queues.local.projects()}
        if agent.project not in projects:
            return f"The directory {agent.directory} was kept: its project is not registered any more."
        return await self._workshops.remove(agent.agent_id, projects[agent.project])


def _fits(task: Task, wanted: NewTask) -> bool:
    """Its process is as the agent is to be from this message on. A person may have begun another conversation in it."""
    return _manner(task) == _manner(wanted)


def _manner(task: Task | NewTask) -> tuple[object, ...]:
    options = replace(task.options, session_id=None) if task.options else None
    return task.profile, task.model, task.time_limit_s, task.budget_usd, options
