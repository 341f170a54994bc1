"""What is remembered of standing agents, and where they work."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from ccm_orchestrator.domain.standing_agent import StandingAgent, StandingMessage


class StandingStore(Protocol):
    async def add(self, agent: StandingAgent) -> None:
        """Raises: WrongStatus when its owner has one of that name."""

    async def save(self, agent: StandingAgent) -> None:
        """Replaces what is known of it."""

    async def agent(self, agent_id: str) -> StandingAgent:
        """Raises: StandingAgentNotFound."""

    async def named(self, name: str) -> Sequence[StandingAgent]:
        """Of every owner that has one of that name; terminated ones are not found by name."""

    async def agents(self, terminated: bool = False) -> Sequence[StandingAgent]:
        """Oldest first."""

    async def add_message(
        self, agent_id: str, text: str, model: str | None = None, message_id: str | None = None
    ) -> StandingMessage:
        """A known `message_id` (chosen by the caller) gives the message that is there."""

    async def save_message(self, message: StandingMessage) -> StandingMessage:
        """As it is stored then."""

    async def message(self, message_id: str) -> StandingMessage:
        """Raises: MessageNotFound."""

    async def messages(self, agent_id: str, open_only: bool = False, limit: int = 100_000) -> Sequence[StandingMessage]:
        """The newest `limit` of them, oldest first."""

    async def unsettled(self) -> frozenset[str]:
        """Ids of the agents that have messages on their way, or were terminated and are not cleared."""


class Workshops(Protocol):
    """Directories that belong to one standing agent each. Made by us, so they are trusted."""

    async def make(self, agent_id: str, name: str, project: Path) -> Path:
        """A work tree of the project's repository on a branch of its own; where there is none, an empty directory.

        Returns where in it the agent works. Making it again gives the same. Raises: InvalidProject.
        """

    async def remove(self, agent_id: str, project: Path) -> str:
        """Empty when it is gone, else one sentence saying why it was kept: it holds work that is nowhere else."""
