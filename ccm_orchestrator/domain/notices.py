"""Notices: what people are told, how the same thing is told once, and when nobody wants to hear it."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from datetime import datetime, time, timedelta, tzinfo
from enum import StrEnum

MOST_CHARACTERS = 200
_WHITE = re.compile(r"\s+")
_HARMLESS = str.maketrans({"<": "‹", ">": "›", "`": "'", "*": "∗", "_": "‗", "[": "(", "]": ")", "|": "¦", "&": "+"})
_BREAK = "\N{ZERO WIDTH SPACE}"


class NoticeEvent(StrEnum):
    """What a target can ask to be told."""

    NEEDS_PERSON = "needs_person"
    """An agent has waited for a person for `waiting_s`. Not sent when it was answered before."""
    FAILED = "failed"
    """A task failed."""
    HELD = "held"
    """A task is held, and waits for a person or for a time."""
    USAGE_LIMIT = "usage_limit"
    """A task is held because the agent's usage limit is reached."""
    BUDGET = "budget"
    """A task is held because its budget is spent, or the budget of a day is."""
    DAEMON_RESTARTED = "daemon_restarted"
    """The daemon died and was started again."""
    CRASH_LOOP = "crash_loop"
    """The daemon died five times in a row."""
    SYSTEM_SILENT = "system_silent"
    """Another machine was not heard of for five minutes."""
    STALLED = "stalled"
    """The orchestrator made no progress, or ended by an error, and was replaced."""
    RECOVERY_FAILED = "recovery_failed"
    """What should have mended something did not: an incident lasts, or no try is left."""
    INCIDENT_OPENED = "incident_opened"
    """Any other incident was detected."""
    INCIDENT_CLOSED = "incident_closed"
    """An incident is over."""


class Level(StrEnum):
    INFO = "info"
    WARNING = "warning"
    URGENT = "urgent"

    @property
    def rank(self) -> int:
        return list(Level).index(self)


class Repeat(StrEnum):
    """What becomes of a notice when one of its topic is still to be sent."""

    COUNT = "count"
    KEEP = "keep"
    REPLACE = "replace"


class NoticeStatus(StrEnum):
    QUEUED = "queued"
    SENT = "sent"
    FAILED = "failed"
    WITHDRAWN = "withdrawn"


@dataclass(frozen=True, slots=True)
class Notice:
    """One thing to tell one target."""

    target: str
    topic: str
    event: NoticeEvent
    level: Level
    title: str
    body: str
    at: datetime
    due_at: datetime
    repeat: Repeat = Repeat.COUNT


@dataclass(frozen=True, slots=True)
class QueuedNotice:
    seq: int
    notice: Notice
    count: int = 1
    tries: int = 0
    status: NoticeStatus = NoticeStatus.QUEUED
    sent_at: datetime | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class QuietHours:
    """From `start` to `end` on the wall clock of a zone; past midnight when `end` is not later than `start`."""

    start: time
    end: time
    zone: tzinfo
    days: frozenset[int] = frozenset(range(7))
    """Days on which a quiet time begins; 0 is Monday."""

    def over_at(self, now: datetime) -> datetime | None:
        """The end of the quiet time that `now` is in; None when it is in none.

        Where the clock is put forward, one quiet time may end when the next has begun: then it is that one's end.
        """
        moment = now.timestamp()
        while (end := self._end_of(moment)) is not None:
            moment = end
        return None if moment == now.timestamp() else datetime.fromtimestamp(moment, now.tzinfo)

    def _end_of(self, moment: float) -> float | None:
        today = datetime.fromtimestamp(moment, self.zone).date()
        for day in (today - timedelta(days=1), today):
            if day.weekday() not in self.days:
                continue
            last = day if self.end > self.start else day + timedelta(days=1)
            begins = datetime.combine(day, self.start, self.zone).timestamp()
            ends = datetime.combine(last, self.end, self.zone).timestamp()
            if begins <= moment < ends:
                return ends
        return None


def harmless(text: str, most: int = MOST_CHARACTERS) -> str:
    """Text of others for any target: one short line without escape sequences, markup, links, and names to call."""
    plain = "".join(" " if unicodedata.category(char)[0] in "CZ" else char for char in text)
    one_line = _WHITE.sub(" ", plain).strip()
    short = one_line if len(one_line) <= most else one_line[: most - 1] + "…"
    return short.translate(_HARMLESS).replace("@", "@" + _BREAK).replace("://", ":" + _BREAK + "//")
