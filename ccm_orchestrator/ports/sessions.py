"""Sessions and their turns, as this system remembers them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from ccm_orchestrator.domain.session import Session, Turn


@dataclass(frozen=True, slots=True)
class SessionQuery:
    owner: str | None = None
    """Only sessions of this user; None: everybody's."""
    one_shot: bool = False
    """Also those that take no further messages."""
    limit: int = 100
    before: str | None = None
    """Session id: only sessions begun before that one (the list is newest first)."""


class SessionStore(Protocol):
    async def add(self, session: Session) -> tuple[Session, bool]:
        """The stored session, and whether it is new: one with the same id is left as it is."""

    async def get(self, session_id: str) -> Session:
        """Raises: SessionNotFound."""

    async def list(self, query: SessionQuery) -> Sequence[Session]:
        """Newest first. Raises: SessionNotFound (`before`)."""

    async def add_turn(self, session_id: str, task_id: str, at: datetime) -> tuple[Turn, bool]:
        """Its next turn, which is a use of the session; or the turn that has this task already.

        Raises: SessionNotFound.
        """

    async def turns(self, session_id: str, number: int | None = None) -> Sequence[Turn]:
        """In order; all, or that one."""

    async def last_turn(self, session_id: str) -> Turn | None: ...
