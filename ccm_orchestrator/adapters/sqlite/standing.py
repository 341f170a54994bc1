"""What is remembered of standing agents, in SQLite."""

from __future__ import annotations

import sqlite3
import uuid
from collections.abc import Sequence
from dataclasses import replace

from ccm_orchestrator.adapters.sqlite.database import Database
from ccm_orchestrator.adapters.sqlite.documents import (
    Stored,
    document,
    optional_time_text,
    read_document,
    read_time,
    storable,
    time_text,
)
from ccm_orchestrator.domain import refusals
from ccm_orchestrator.domain.dialogue import MessageStatus
from ccm_orchestrator.domain.standing_agent import StandingAgent, StandingMessage
from ccm_orchestrator.ports.world import Clock

_AGENTS = Stored(StandingAgent)

_ADD = "INSERT INTO standing_agents (agent_id, name, owner, terminated_at, agent) VALUES (?, ?, ?, ?, ?)"
_SAVE = "UPDATE standing_agents SET terminated_at = ?, agent = ? WHERE agent_id = ?"
_ADD_MESSAGE = """
INSERT INTO standing_messages (message_id, agent_id, text, model, status, detail, answer, tries, created_at, updated_at)
VALUES (?, ?, ?, ?, 'queued', '', '', 0, ?, ?)
ON CONFLICT (message_id) DO UPDATE SET message_id = message_id RETURNING *
"""
_SAVE_MESSAGE = """
UPDATE standing_messages SET status = ?, detail = ?, answer = ?, task_id = ?, run_id = ?, tries = ?, updated_at = ?
WHERE message_id = ? RETURNING *
"""
_OPEN = "status IN ('queued', 'delivered', 'accepted')"
_UNSETTLED = f"""
SELECT agent_id FROM standing_messages WHERE {_OPEN}
UNION SELECT agent_id FROM standing_agents WHERE terminated_at IS NOT NULL AND NOT json_extract(agent, '$.cleared')
"""


class SqliteStandingStore:
    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def add(self, agent: StandingAgent) -> None:
        values = (agent.agent_id, agent.name, agent.owner, optional_time_text(agent.terminated_at), document(agent))

        def work(connection: sqlite3.Connection) -> None:
            same = [_agent(row) for row in connection.execute(_BY_NAME, (agent.name,))]
            if any(other.owner == agent.owner for other in same):
                raise refusals.standing_name_taken(agent.name)
            connection.execute(_ADD, values)

        await self._database.write(work)

    async def save(self, agent: StandingAgent) -> None:
        values = (optional_time_text(agent.terminated_at), document(agent), agent.agent_id)
        await self._database.write(lambda c: c.execute(_SAVE, values))

    async def agent(self, agent_id: str) -> StandingAgent:
        found = await self._agents("SELECT agent FROM standing_agents WHERE agent_id = ?", agent_id)
        if not found:
            raise refusals.standing_agent_not_found(agent_id)
        return found[0]

    async def named(self, name: str) -> Sequence[StandingAgent]:
        return await self._agents(_BY_NAME, name)

    async def agents(self, terminated: bool = False) -> Sequence[StandingAgent]:
        condition = "1" if terminated else "terminated_at IS NULL"
        return await self._agents(f"SELECT agent FROM standing_agents WHERE {condition} ORDER BY seq")

    async def add_message(
        self, agent_id: str, text: str, model: str | None = None, message_id: str | None = None
    ) -> StandingMessage:
        now = time_text(self._clock.now())
        values = (message_id or uuid.uuid4().hex, agent_id, storable(text), model, now, now)
        return await self._database.write(lambda c: _message(c.execute(_ADD_MESSAGE, values).fetchone()))

    async def save_message(self, message: StandingMessage) -> StandingMessage:
        saved = replace(message, updated_at=self._clock.now())
        values = (
            saved.status.value,
            storable(saved.detail),
            storable(saved.answer),
            saved.task_id,
            saved.run_id,
            saved.tries,
            time_text(saved.updated_at),
            saved.message_id,
        )
        return await self._database.write(lambda c: _found(c, _SAVE_MESSAGE, values, saved.message_id))

    async def message(self, message_id: str) -> StandingMessage:
        statement = "SELECT * FROM standing_messages WHERE message_id = ?"
        return await self._database.read(lambda c: _found(c, statement, (message_id,), message_id))

    async def messages(self, agent_id: str, open_only: bool = False, limit: int = 100_000) -> Sequence[StandingMessage]:
        condition = f"AND {_OPEN}" if open_only else ""
        newest = f"SELECT * FROM standing_messages WHERE agent_id = ? {condition} ORDER BY seq DESC LIMIT ?"
        return await self._database.read(
            lambda c: [_message(row) for row in reversed(c.execute(newest, (agent_id, limit)).fetchall())]
        )

    async def unsettled(self) -> frozenset[str]:
        return await self._database.read(lambda c: frozenset(row["agent_id"] for row in c.execute(_UNSETTLED)))

    async def _agents(self, statement: str, *values: object) -> list[StandingAgent]:
        return await self._database.read(lambda c: [_agent(row) for row in c.execute(statement, values)])


_BY_NAME = "SELECT agent FROM standing_agents WHERE name = ? AND terminated_at IS NULL ORDER BY seq"


def _agent(row: sqlite3.Row) -> StandingAgent:
    return read_document(_AGENTS, row["agent"])


def _found(
    connection: sqlite3.Connection, statement: str, values: tuple[object, ...], message_id: str
) -> StandingMessage:
    row = connection.execute(statement, values).fetchone()
    if row is None:
        raise refusals.message_not_found(message_id)
    return _message(row)


def _message(row: sqlite3.Row) -> StandingMessage:
    return StandingMessage(
        message_id=row["message_id"],
        agent_id=row["agent_id"],
        text=row["text"],
        status=MessageStatus(row["status"]),
        created_at=read_time(row["created_at"]),
        updated_at=read_time(row["updated_at"]),
        model=row["model"],
        detail=row["detail"],
        answer=row["answer"],
        task_id=row["task_id"],
        run_id=row["run_id"],
        tries=row["tries"],
    )
