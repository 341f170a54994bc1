"""Standing agents in a house: messages, receipts and processes that end, all among fakes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

from ccm_orchestrator.domain.dialogue import MessageStatus
from ccm_orchestrator.domain.run import Run
from ccm_orchestrator.domain.standing_agent import StandingAgent, StandingMessage, StandingStatus
from ccm_orchestrator.domain.task import TaskStatus
from ccm_orchestrator.engine.approvals import Approvals
from ccm_orchestrator.engine.bus import Bus
from ccm_orchestrator.engine.cancelling import cancel_all
from ccm_orchestrator.engine.control import Control
from ccm_orchestrator.engine.heartbeats import Heart
from ccm_orchestrator.engine.queues import Queues
from ccm_orchestrator.engine.receipts import Receipts
from ccm_orchestrator.engine.standing_agents import StandingAgents
from ccm_orchestrator.engine.tending import Tending
from ccm_orchestrator.fakes.memory_acceptance import MemoryAcceptance
from ccm_orchestrator.fakes.memory_approvals import MemoryApprovalRules
from ccm_orchestrator.fakes.memory_audit import MemoryAuditLog
from ccm_orchestrator.fakes.memory_standing import FakeWorkshops, MemoryStandingStore
from tests.unit.engine.house import PROFILES, House

IDLE_S = 600.0


class Office:
    """Standing agents in a house."""

    def __init__(self, home: House, root: Path) -> None:
        self.home = home
        self.store = MemoryStandingStore(home.clock)
        self.workshops = FakeWorkshops(root)
        self.running: asyncio.Task[object] | None = None
        self.restart()

    def restart(self) -> None:
        """As by a new daemon: only what is stored is known."""
        home, bus, queues = self.home, Bus(self.home.events), Queues(self.home.store)
        self.control = Control(
            queues=queues,
            journal=home.journal,
            outbox=home.outbox,
            bus=bus,
            terminal=home.terminal,
            launchpad=home.pad,
            drivers={"claude": home.driver},
            profiles=PROFILES,
            clock=home.clock,
            approvals=Approvals(MemoryApprovalRules(), (), home.clock),
            acceptance=MemoryAcceptance(home.store, home.events, MemoryAuditLog()),
            token_of=lambda _run_id: None,
            poke=lambda: None,
        )
        receipts = Receipts(self.store, queues, home.journal, bus, home.clock)
        self.tending = Tending(self.store, self.control, queues, receipts, bus, self.workshops, home.clock)
        self.agents = StandingAgents(self.store, self.control, self.tending, self.workshops, PROFILES)

    async def open(self) -> None:
        await self.home.start()
        self.running = asyncio.create_task(self.tending.run(Heart("tending", 60.0)))

    async def close(self) -> None:
        if self.running is not None:
            await cancel_all([self.running])

    async def tended(self, agent: StandingAgent, condition: Callable[[], Awaitable[bool]], what: str) -> None:
        """Its bus is not the orchestrator's, so its events are looked for."""

        async def reached() -> bool:
            await self.tending.tend(agent.agent_id)
            return await condition()

        await self.home.until(reached, what)

    async def status(self, agent: StandingAgent) -> StandingStatus:
        return (await self.agents.state(await self.store.agent(agent.agent_id))).status

    async def until_status(self, agent: StandingAgent, wanted: StandingStatus) -> None:
        async def reached() -> bool:
            return await self.status(agent) is wanted

        await self.tended(agent, reached, f"{wanted} of {agent.name}")

    async def until_message(
        self, agent: StandingAgent, sent: StandingMessage, wanted: MessageStatus
    ) -> StandingMessage:
        async def reached() -> bool:
            return (await self.store.message(sent.message_id)).status is wanted

        await self.tended(agent, reached, f"{wanted} of {sent.text!r}")
        return await self.store.message(sent.message_id)

    async def run_of(self, agent: StandingAgent) -> Run:
        """Its newest run, as soon as it takes messages."""
        task_id = (await self.store.agent(agent.agent_id)).task_id
        assert task_id is not None
        await self.home.until_status(task_id, TaskStatus.RUNNING)
        return await self.home.run_of(task_id)

    async def takes(self, run: Run, text: str) -> None:
        self.home.clock.advance(1)
        self.home.pad.hook(run.run_id, "UserPromptSubmit", {"signal": "prompt_accepted", "prompt": text})
        await self.home.until_state(run, "working")

    async def answers(self, run: Run, text: str) -> None:
        self.home.clock.advance(1)
        self.home.says(run, "turn_ended", text)
        await self.home.until_state(run, "complete")

    async def hibernates(self, agent: StandingAgent, run: Run) -> None:
        self.home.clock.advance(IDLE_S + 1)
        await self.home.until_ended(run)
        await self.until_status(agent, StandingStatus.HIBERNATING)
