"""Notices on their way, in memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from ccm_orchestrator.domain.notices import Notice, NoticeStatus, QueuedNotice, Repeat
from ccm_orchestrator.ports.notices import Intake, NoticeQuery


class MemoryNoticeQueue:
    def __init__(self) -> None:
        self._notices: dict[int, QueuedNotice] = {}
        self._cursor: int | None = None
        self._last_seq = 0

    async def cursor(self) -> int | None:
        return self._cursor

    async def take_in(self, intake: Intake, window: timedelta) -> None:
        for known in list(self._notices.values()):
            if known.status is NoticeStatus.QUEUED and known.notice.topic in intake.withdrawn:
                self._notices[known.seq] = replace(known, status=NoticeStatus.WITHDRAWN)
        for notice in intake.notices:
            self._add(notice, window)
        self._cursor = self._cursor if intake.cursor is None else intake.cursor

    async def due(self, target: str, now: datetime, limit: int = 500) -> Sequence[QueuedNotice]:
        queued = (known for known in self._notices.values() if known.status is NoticeStatus.QUEUED)
        mine = [known for known in queued if known.notice.target == target and known.notice.due_at <= now]
        return mine[:limit]

    async def settle(self, seqs: Sequence[int], status: NoticeStatus, at: datetime, error: str | None = None) -> None:
        sent_at = at if status is NoticeStatus.SENT else None
        self._change(
            seqs, lambda known: replace(known, status=status, sent_at=sent_at, error=error, tries=known.tries + 1)
        )

    async def put_off(self, seqs: Sequence[int], until: datetime, error: str | None) -> None:
        self._change(
            seqs,
            lambda known: replace(
                known,
                notice=replace(known.notice, due_at=until),
                tries=known.tries + (error is not None),
                error=error or known.error,
            ),
        )

    async def sent_since(self, target: str, since: datetime) -> int:
        mine = (known for known in self._notices.values() if known.notice.target == target)
        return len({known.sent_at for known in mine if known.sent_at is not None and known.sent_at >= since})

    async def notices(self, query: NoticeQuery) -> Sequence[QueuedNotice]:
        found = [
            known
            for known in reversed(self._notices.values())
            if query.status in (None, known.status)
            and query.target in (None, known.notice.target)
            and (query.before is None or known.seq < query.before)
        ]
        return found[: query.limit]

    async def prune(self, before: datetime) -> int:
        kept = {seq: known for seq, known in self._notices.items() if known.notice.at >= before}
        removed = len(self._notices) - len(kept)
        self._notices = kept
        return removed

    def _add(self, notice: Notice, window: timedelta) -> None:
        same = [known for known in self._notices.values() if _place(known.notice) == _place(notice)]
        queued = next((known for known in same if known.status is NoticeStatus.QUEUED), None)
        if queued is None:
            sent = [known.sent_at + window for known in same if known.sent_at is not None]
            seq = self._last_seq = self._last_seq + 1
            kept = replace(notice, due_at=max([notice.due_at, *sent]), repeat=Repeat.COUNT)
            self._notices[seq] = QueuedNotice(seq, kept)
        elif notice.repeat is Repeat.COUNT:
            self._notices[queued.seq] = replace(queued, count=queued.count + 1)
        elif notice.repeat is Repeat.REPLACE:
            kept = replace(queued.notice, event=notice.event, level=notice.level, title=notice.title, body=notice.body)
            self._notices[queued.seq] = replace(queued, notice=kept)

    def _change(self, seqs: Sequence[int], change: Callable[[QueuedNotice], QueuedNotice]) -> None:
        self._notices |= {seq: change(self._notices[seq]) for seq in seqs if seq in self._notices}


def _place(notice: Notice) -> tuple[str, str]:
    return notice.target, notice.topic
