"""What is remembered of standing agents, and where they work, in memory."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ccm_orchestrator.domain import refusals
from ccm_orchestrator.domain.dialogue import MessageStatus
from ccm_orchestrator.domain.standing_agent import StandingAgent, StandingMessage, Wanted
from ccm_orchestrator.ports.world import Clock


class MemoryStandingStore:
    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.RLock()
        self._agents: dict[str, StandingAgent] = {}
        self._messages: dict[str, StandingMessage] = {}

    async def add(self, agent: StandingAgent) -> None:
        with self._lock:
            if any(other.owner == agent.owner for other in await self.named(agent.name)):
                raise refusals.standing_name_taken(agent.name)
            self._agents[agent.agent_id] = agent

    async def save(self, agent: StandingAgent) -> None:
        with self._lock:
            self._agents[agent.agent_id] = agent

    async def agent(self, agent_id: str) -> StandingAgent:
        with self._lock:
            if agent_id not in self._agents:
                raise refusals.standing_agent_not_found(agent_id)
            return self._agents[agent_id]

    async def named(self, name: str) -> Sequence[StandingAgent]:
        with self._lock:
            return [a for a in self._agents.values() if a.name == name and a.terminated_at is None]

    async def agents(self, terminated: bool = False) -> Sequence[StandingAgent]:
        with self._lock:
            return [a for a in self._agents.values() if terminated or a.terminated_at is None]

    async def add_message(
        self, agent_id: str, text: str, model: str | None = None, message_id: str | None = None
    ) -> StandingMessage:
        now = self._clock.now()
        chosen = message_id or uuid.uuid4().hex
        message = StandingMessage(chosen, agent_id, text, MessageStatus.QUEUED, now, now, model)
        with self._lock:
            return self._messages.setdefault(chosen, message)

    async def save_message(self, message: StandingMessage) -> StandingMessage:
        with self._lock:
            await self.message(message.message_id)
            self._messages[message.message_id] = replace(message, updated_at=self._clock.now())
            return self._messages[message.message_id]

    async def message(self, message_id: str) -> StandingMessage:
        with self._lock:
            if message_id not in self._messages:
                raise refusals.message_not_found(message_id)
            return self._messages[message_id]

    async def messages(self, agent_id: str, open_only: bool = False, limit: int = 100_000) -> Sequence[StandingMessage]:
        with self._lock:
            found = [m for m in self._messages.values() if m.agent_id == agent_id]
        return [m for m in found if not (open_only and m.status.final)][-limit:]

    async def unsettled(self) -> frozenset[str]:
        with self._lock:
            open_ends = {m.agent_id for m in self._messages.values() if not m.status.final}
            leaving = {a.agent_id for a in self._agents.values() if a.wanted is Wanted.TERMINATED and not a.cleared}
            return frozenset(open_ends | leaving)


class FakeWorkshops:
    """Without a root nothing is on disk. `full`: ids of the agents whose directory holds work that is nowhere else."""

    def __init__(self, root: Path | None = None) -> None:
        self._root = root
        self.made: set[str] = set()
        self.full: set[str] = set()

    async def make(self, agent_id: str, name: str, project: Path) -> Path:
        self.made.add(agent_id)
        directory = (self._root or Path("/fake-state/agents")) / agent_id
        if self._root is not None:
            directory.mkdir(parents=True, exist_ok=True)
        return directory

    async def remove(self, agent_id: str, project: Path) -> str:
        if agent_id in self.full:
            return f"The directory of agent {agent_id} was kept: it holds work that is nowhere else."
        self.made.discard(agent_id)
        if self._root is not None:
            (self._root / agent_id).rmdir()
        return ""
