"""What this system remembers of its own runs, in SQLite."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TypeVar

from ccm_orchestrator.adapters.sqlite import dialogue
from ccm_orchestrator.adapters.sqlite.database import Database
from ccm_orchestrator.adapters.sqlite.documents import Stored, document, read_document, time_text
from ccm_orchestrator.adapters.sqlite.table import LAST_CHARACTER
from ccm_orchestrator.domain import refusals
from ccm_orchestrator.domain.agent import AgentView
from ccm_orchestrator.domain.dialogue import Message, MessageStatus, PermissionRequest, PermissionStatus, Verdict
from ccm_orchestrator.domain.run import Run
from ccm_orchestrator.ports.beside import NOTHING, Beside, Telling, tell_nothing
from ccm_orchestrator.ports.journal import RunQuery
from ccm_orchestrator.ports.tasks import ClaimRequest
from ccm_orchestrator.ports.world import Clock

T = TypeVar("T")

_RUNS = Stored(Run)
_VIEWS = Stored(AgentView)
_CLAIMS = Stored(ClaimRequest)

_BEGIN_TERM = """
INSERT INTO daemon (id, term, boot_id, started_at) VALUES (1, 1, :boot_id, :now)
ON CONFLICT (id) DO UPDATE SET term = term + 1, boot_id = :boot_id, started_at = :now
RETURNING term
"""
_SAVE_RUN = """
INSERT INTO runs (run_id, task_id, fence, state, created_at, run) VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT (run_id) DO UPDATE SET
    task_id = excluded.task_id, fence = excluded.fence, state = excluded.state, run = excluded.run
"""
_SAVE_VIEW = """
INSERT INTO agent_views (run_id, state, view) VALUES (?, ?, ?)
ON CONFLICT (run_id) DO UPDATE SET state = excluded.state, view = excluded.view
"""
_RUNS_BY_PREFIX = "SELECT run FROM runs WHERE run_id >= ? AND run_id < ? LIMIT 2"


class SqliteJournal:
    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def begin_term(self, boot_id: str) -> int:
        values = {"boot_id": boot_id, "now": time_text(self._clock.now())}
        return await self._database.write(lambda c: int(c.execute(_BEGIN_TERM, values).fetchone()["term"]))

    async def remember_claim(self, request: ClaimRequest) -> None:
        statement = "INSERT OR REPLACE INTO open_claims (request_id, request) VALUES (?, ?)"
        await self._execute(statement, request.request_id, document(request))

    async def open_claims(self) -> Sequence[ClaimRequest]:
        return await self._documents(_CLAIMS, "SELECT request FROM open_claims ORDER BY seq")

    async def settle_claim(self, request_id: str) -> None:
        await self._execute("DELETE FROM open_claims WHERE request_id = ?", request_id)

    async def save_run(self, run: Run, term: int) -> None:
        created_at, content = time_text(run.created_at), document(run)

        def work(connection: sqlite3.Connection) -> None:
            _check_term(connection, term)
            values = (run.run_id, run.task_id, run.fence, run.state.value, created_at, content)
            connection.execute(_SAVE_RUN, values)

        await self._database.write(work)

    async def run(self, run_id: str) -> Run:
        return await self._database.read(lambda c: _find_run(c, run_id))

    async def runs(self, query: RunQuery) -> Sequence[Run]:
        wanted = {
            "task_id = ?": query.task_id,
            "json_extract(run, '$.session_id') = ?": query.session_id,
            "json_extract(run, '$.owner') = ?": query.owner,
            "json_extract(run, '$.project') = ?": query.project,
            "json_extract(run, '$.profile') = ?": query.profile,
            "seq < (SELECT seq FROM runs WHERE run_id = ?)": query.before,
        }
        given = {condition: value for condition, value in wanted.items() if value is not None}
        conditions, values = ["1", *given], list(given.values())
        if query.open_only:
            conditions.append("state <> 'ended'")
        statement = f"SELECT run FROM runs WHERE {' AND '.join(conditions)} ORDER BY seq DESC LIMIT ?"
        return await self._documents(_RUNS, statement, *values, query.limit)

    async def save_views(self, views: Mapping[str, AgentView]) -> None:
        rows = [(run_id, view.state.value, document(view)) for run_id, view in views.items()]
        await self._database.write(lambda c: c.executemany(_SAVE_VIEW, rows))

    async def views(self, run_ids: Sequence[str]) -> Mapping[str, AgentView]:
        def work(connection: sqlite3.Connection) -> Mapping[str, AgentView]:
            found = {}
            for run_id in run_ids:
                row = connection.execute("SELECT view FROM agent_views WHERE run_id = ?", (run_id,)).fetchone()
                if row is not None:
                    found[run_id] = read_document(_VIEWS, row["view"])
            return found

        return await self._database.read(work)

    async def runs_with_intents(self) -> frozenset[str]:
        return await self._database.read(dialogue.runs_with_intents)

    async def add_message(
        self, run_id: str, text: str, message_id: str | None = None, status: MessageStatus = MessageStatus.QUEUED
    ) -> Message:
        now = self._clock.now()
        return await self._database.write(lambda c: dialogue.add_message(c, run_id, text, now, message_id, status))

    async def messages(self, run_id: str) -> Sequence[Message]:
        return await self._database.read(lambda c: dialogue.messages(c, run_id))

    async def set_message(self, message_id: str, status: MessageStatus, detail: str = "", answer: str = "") -> Message:
        now = self._clock.now()
        return await self._database.write(lambda c: dialogue.set_message(c, message_id, status, detail, answer, now))

    async def add_permission(self, request: PermissionRequest, told: Beside = NOTHING) -> bool:
        return await self._database.write(lambda c: dialogue.add_permission(c, request, told))

    async def permission(self, request_id: str) -> PermissionRequest:
        return await self._database.read(lambda c: dialogue.permission(c, request_id))

    async def permissions(self, run_id: str | None = None, open_only: bool = True) -> Sequence[PermissionRequest]:
        return await self._database.read(lambda c: dialogue.permissions(c, run_id, open_only))

    async def permissions_since(self, run_id: str, since: datetime | None) -> Sequence[PermissionRequest]:
        return await self._database.read(lambda c: dialogue.permissions_since(c, run_id, since))

    async def decide_permission(
        self, request_id: str, verdict: Verdict, told: Telling = tell_nothing
    ) -> PermissionRequest:
        now = self._clock.now()
        return await self._database.write(lambda c: dialogue.decide(c, request_id, verdict, now, told))

    async def reopen_permission(self, request_id: str, told: Telling = tell_nothing) -> None:
        await self._database.write(lambda c: dialogue.reopen(c, request_id, told))

    async def overrule_permission(self, request_id: str, told: Telling = tell_nothing) -> bool:
        return await self._database.write(lambda c: dialogue.overrule(c, request_id, told))

    async def close_permission(self, request_id: str, status: PermissionStatus, told: Telling = tell_nothing) -> bool:
        now = self._clock.now()
        return await self._database.write(lambda c: dialogue.close(c, request_id, status, now, told))

    async def _execute(self, statement: str, *values: object) -> None:
        def work(connection: sqlite3.Connection) -> None:
            connection.execute(statement, values)

        await self._database.write(work)

    async def _documents(self, stored: Stored[T], statement: str, *values: object) -> list[T]:
        def work(connection: sqlite3.Connection) -> list[T]:
            return [read_document(stored, row[0]) for row in connection.execute(statement, values)]

        return await self._database.read(work)


def _check_term(connection: sqlite3.Connection, term: int) -> None:
    row = connection.execute("SELECT term FROM daemon").fetchone()
    if row is not None and term < row["term"]:
        raise refusals.stale_term(term, row["term"])


def _find_run(connection: sqlite3.Connection, run_id: str) -> Run:
    exact = "SELECT run FROM runs WHERE run_id = ? OR task_id = ? ORDER BY run_id = ? DESC, seq DESC LIMIT 1"
    row = connection.execute(exact, (run_id, run_id, run_id)).fetchone()
    if row is not None:
        return read_document(_RUNS, row["run"])
    prefix = run_id.removeprefix("ccm-")
    rows = connection.execute(_RUNS_BY_PREFIX, (prefix, prefix + LAST_CHARACTER)).fetchall() if prefix else []
    if len(rows) != 1:
        raise refusals.ambiguous_run(run_id) if rows else refusals.run_not_found(run_id)
    return read_document(_RUNS, rows[0]["run"])
