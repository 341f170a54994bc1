"""Notices in SQLite. A unique index keeps one notice per target and topic on its way."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import fields
from datetime import datetime, timedelta

from ccm_orchestrator.adapters.sqlite.database import Database
from ccm_orchestrator.adapters.sqlite.documents import optional_time_text, read_time, storable, time_text
from ccm_orchestrator.domain.notices import Level, Notice, NoticeEvent, NoticeStatus, QueuedNotice, Repeat
from ccm_orchestrator.ports.notices import Intake, NoticeQuery

_ADD = """
INSERT INTO notices (target, topic, event, level, title, body, at, due_at, count, tries, status)
VALUES (:target, :topic, :event, :level, :title, :body, :at, :due_at, 1, 0, 'queued')
ON CONFLICT (target, topic) WHERE status = 'queued' DO UPDATE SET
"""
_MEETS = {
    Repeat.COUNT: "count = count + 1",
    Repeat.KEEP: "count = count",
    Repeat.REPLACE: "event = excluded.event, level = excluded.level, title = excluded.title, body = excluded.body",
}
_LAST_SENT = "SELECT max(sent_at) AS last FROM notices WHERE target = :target AND topic = :topic AND status = 'sent'"
_READ_TO = "INSERT INTO notice_cursor VALUES (1, ?) ON CONFLICT (only) DO UPDATE SET seq = excluded.seq"


class SqliteNoticeQueue:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def cursor(self) -> int | None:
        row = await self._database.read(lambda c: c.execute("SELECT seq FROM notice_cursor").fetchone())
        return None if row is None else int(row["seq"])

    async def take_in(self, intake: Intake, window: timedelta) -> None:
        await self._database.write(lambda c: _take_in(c, intake, window))

    async def due(self, target: str, now: datetime, limit: int = 500) -> Sequence[QueuedNotice]:
        statement = "SELECT * FROM notices WHERE target = ? AND status = 'queued' AND due_at <= ? ORDER BY seq LIMIT ?"
        values = (storable(target), time_text(now), limit)
        rows = await self._database.read(lambda c: c.execute(statement, values).fetchall())
        return [_queued(row) for row in rows]

    async def settle(self, seqs: Sequence[int], status: NoticeStatus, at: datetime, error: str | None = None) -> None:
        sent_at = at if status is NoticeStatus.SENT else None
        statement = "UPDATE notices SET status = ?, sent_at = ?, error = ?, tries = tries + 1 WHERE seq = ?"
        rows = [(status.value, optional_time_text(sent_at), error, seq) for seq in seqs]
        await self._database.write(lambda c: c.executemany(statement, rows))

    async def put_off(self, seqs: Sequence[int], until: datetime, error: str | None) -> None:
        statement = "UPDATE notices SET due_at = ?, tries = tries + ?, error = coalesce(?, error) WHERE seq = ?"
        rows = [(time_text(until), error is not None, error, seq) for seq in seqs]
        await self._database.write(lambda c: c.executemany(statement, rows))

    async def sent_since(self, target: str, since: datetime) -> int:
        statement = "SELECT count(DISTINCT sent_at) AS sent FROM notices WHERE target = ? AND sent_at >= ?"
        row = await self._database.read(lambda c: c.execute(statement, (target, time_text(since))).fetchone())
        return int(row["sent"])

    async def notices(self, query: NoticeQuery) -> Sequence[QueuedNotice]:
        status = None if query.status is None else query.status.value
        statement = (
            "SELECT * FROM notices WHERE (?1 IS NULL OR status = ?1) AND (?2 IS NULL OR seq < ?2) "
            "AND (?4 IS NULL OR target = ?4) ORDER BY seq DESC LIMIT ?3"
        )
        target = None if query.target is None else storable(query.target)
        values = (status, query.before, query.limit, target)
        rows = await self._database.read(lambda c: c.execute(statement, values).fetchall())
        return [_queued(row) for row in rows]

    async def prune(self, before: datetime) -> int:
        statement = "DELETE FROM notices WHERE at < ?"
        return await self._database.write(lambda c: c.execute(statement, (time_text(before),)).rowcount)


def _take_in(connection: sqlite3.Connection, intake: Intake, window: timedelta) -> None:
    for topic in intake.withdrawn:
        statement = "UPDATE notices SET status = 'withdrawn' WHERE topic = ? AND status = 'queued'"
        connection.execute(statement, (storable(topic),))
    for notice in intake.notices:
        row = {
            field.name: storable(str(getattr(notice, field.name))) for field in fields(Notice) if field.name != "repeat"
        }
        last = connection.execute(_LAST_SENT, row).fetchone()["last"]
        due = notice.due_at if last is None else max(notice.due_at, read_time(last) + window)
        row |= {"at": time_text(notice.at), "due_at": time_text(due)}
        connection.execute(_ADD + _MEETS[notice.repeat], row)
    if intake.cursor is not None:
        connection.execute(_READ_TO, (intake.cursor,))


def _queued(row: sqlite3.Row) -> QueuedNotice:
    notice = Notice(
        target=row["target"],
        topic=row["topic"],
        event=NoticeEvent(row["event"]),
        level=Level(row["level"]),
        title=row["title"],
        body=row["body"],
        at=read_time(row["at"]),
        due_at=read_time(row["due_at"]),
    )
    sent_at = None if row["sent_at"] is None else read_time(row["sent_at"])
    status = NoticeStatus(row["status"])
    return QueuedNotice(row["seq"], notice, row["count"], row["tries"], status, sent_at, row["error"])
