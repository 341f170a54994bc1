"""Sessions in SQLite."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from datetime import datetime

from ccm_orchestrator.adapters.sqlite.database import Database
from ccm_orchestrator.adapters.sqlite.documents import Stored, document, read_document, read_time, time_text
from ccm_orchestrator.domain import refusals
from ccm_orchestrator.domain.options import RunOptions
from ccm_orchestrator.domain.session import Session, Turn
from ccm_orchestrator.ports.sessions import SessionQuery

_OPTIONS = Stored(RunOptions)
_INSERT = """
INSERT INTO sessions VALUES (:session_id, (SELECT coalesce(max(seq), 0) + 1 FROM sessions), :agent_type, :project,
    :profile, :model, :options, :owner, :one_shot, :created_at, :last_used_at)
"""
_SELECT = """
SELECT *, (SELECT coalesce(max(number), 0) FROM session_turns AS t WHERE t.session_id = sessions.session_id) AS turns
FROM sessions
"""
_LIST = f"""
{_SELECT} WHERE (?1 IS NULL OR owner = ?1) AND (?2 OR NOT one_shot)
    AND (?3 IS NULL OR seq < (SELECT seq FROM sessions WHERE session_id = ?3))
ORDER BY seq DESC LIMIT ?4
"""
_ADD_TURN = """
INSERT INTO session_turns
SELECT ?1, coalesce(max(number), 0) + 1, ?2, ?3 FROM session_turns WHERE session_id = ?1
"""
_TURN_OF_TASK = "SELECT * FROM session_turns WHERE session_id = ? AND task_id = ?"


class SqliteSessionStore:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, session: Session) -> tuple[Session, bool]:
        def work(connection: sqlite3.Connection) -> tuple[Session, bool]:
            known = _find(connection, session.session_id)
            if known is None:
                connection.execute(_INSERT, _columns(session))
            return known or session, known is None

        return await self._database.write(work)

    async def get(self, session_id: str) -> Session:
        return await self._database.read(lambda c: _get(c, session_id))

    async def list(self, query: SessionQuery) -> Sequence[Session]:
        def work(connection: sqlite3.Connection) -> list[Session]:
            if query.before is not None:
                _get(connection, query.before)
            wanted = (query.owner, query.one_shot, query.before, query.limit)
            return [_session(row) for row in connection.execute(_LIST, wanted)]

        return await self._database.read(work)

    async def add_turn(self, session_id: str, task_id: str, at: datetime) -> tuple[Turn, bool]:
        def work(connection: sqlite3.Connection) -> tuple[Turn, bool]:
            _get(connection, session_id)
            known = connection.execute(_TURN_OF_TASK, (session_id, task_id)).fetchone()
            if known is not None:
                return _turn(known), False
            connection.execute(_ADD_TURN, (session_id, task_id, time_text(at)))
            used = (time_text(at), session_id)
            connection.execute("UPDATE sessions SET last_used_at = ? WHERE session_id = ?", used)
            return _turn(connection.execute(_TURN_OF_TASK, (session_id, task_id)).fetchone()), True

        return await self._database.write(work)

    async def turns(self, session_id: str, number: int | None = None) -> Sequence[Turn]:
        statement = "SELECT * FROM session_turns WHERE session_id = ?1 AND (?2 IS NULL OR number = ?2) ORDER BY number"
        return await self._turns(statement, session_id, number)

    async def last_turn(self, session_id: str) -> Turn | None:
        statement = "SELECT * FROM session_turns WHERE session_id = ? ORDER BY number DESC LIMIT 1"
        return next(iter(await self._turns(statement, session_id)), None)

    async def _turns(self, statement: str, *values: object) -> Sequence[Turn]:
        return await self._database.read(lambda c: [_turn(row) for row in c.execute(statement, values)])


def _find(connection: sqlite3.Connection, session_id: str) -> Session | None:
    row = connection.execute(f"{_SELECT} WHERE session_id = ?", (session_id,)).fetchone()
    return None if row is None else _session(row)


def _get(connection: sqlite3.Connection, session_id: str) -> Session:
    """Raises: SessionNotFound."""
    session = _find(connection, session_id)
    if session is None:
        raise refusals.session_not_found(session_id)
    return session


def _columns(session: Session) -> dict[str, object]:
    return {
        "session_id": session.session_id,
        "agent_type": session.agent_type,
        "project": session.project,
        "profile": session.profile,
        "model": session.model,
        "options": document(session.options),
        "owner": session.owner,
        "one_shot": session.one_shot,
        "created_at": time_text(session.created_at),
        "last_used_at": time_text(session.last_used_at),
    }


def _session(row: sqlite3.Row) -> Session:
    return Session(
        session_id=row["session_id"],
        agent_type=row["agent_type"],
        project=row["project"],
        profile=row["profile"],
        model=row["model"],
        options=read_document(_OPTIONS, row["options"]),
        owner=row["owner"],
        one_shot=bool(row["one_shot"]),
        created_at=read_time(row["created_at"]),
        last_used_at=read_time(row["last_used_at"]),
        turns=row["turns"],
    )


def _turn(row: sqlite3.Row) -> Turn:
    return Turn(row["session_id"], row["number"], row["task_id"], read_time(row["created_at"]))
