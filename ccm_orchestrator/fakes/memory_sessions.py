"""Sessions in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from ccm_orchestrator.domain import refusals
from ccm_orchestrator.domain.session import Session, Turn
from ccm_orchestrator.ports.sessions import SessionQuery


class MemorySessionStore:
    def __init__(self) -> None:
        self._sessions: dict[str, Session] = {}
        self._turns: dict[str, list[Turn]] = {}

    async def add(self, session: Session) -> tuple[Session, bool]:
        is_new = session.session_id not in self._sessions
        if is_new:
            self._sessions[session.session_id] = session
            self._turns[session.session_id] = []
        return self._sessions[session.session_id], is_new

    async def get(self, session_id: str) -> Session:
        if session_id not in self._sessions:
            raise refusals.session_not_found(session_id)
        return self._sessions[session_id]

    async def list(self, query: SessionQuery) -> Sequence[Session]:
        sessions = list(self._sessions.values())
        if query.before is not None:
            oldest = await self.get(query.before)
            sessions = sessions[: [session.session_id for session in sessions].index(oldest.session_id)]
        return [session for session in reversed(sessions) if _matches(session, query)][: query.limit]

    async def add_turn(self, session_id: str, task_id: str, at: datetime) -> tuple[Turn, bool]:
        session, turns = await self.get(session_id), self._turns[session_id]
        known = next((turn for turn in turns if turn.task_id == task_id), None)
        if known is not None:
            return known, False
        turns.append(Turn(session_id, len(turns) + 1, task_id, at))
        self._sessions[session_id] = replace(session, last_used_at=at, turns=len(turns))
        return turns[-1], True

    async def turns(self, session_id: str, number: int | None = None) -> Sequence[Turn]:
        return [turn for turn in self._turns.get(session_id, ()) if number in (None, turn.number)]

    async def last_turn(self, session_id: str) -> Turn | None:
        turns = self._turns.get(session_id)
        return turns[-1] if turns else None


def _matches(session: Session, query: SessionQuery) -> bool:
    return (query.owner is None or session.owner == query.owner) and (query.one_shot or not session.one_shot)
