"""Notices on their way: durable from the event to the delivery, sent at least once. And what carries them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from ccm_orchestrator.domain.notices import Notice, NoticeStatus, QueuedNotice


@dataclass(frozen=True, slots=True)
class NoticeQuery:
    status: NoticeStatus | None = None
    target: str | None = None
    limit: int = 100
    before: int | None = None
    """Only those with a smaller `seq`."""


@dataclass(frozen=True, slots=True)
class Intake:
    """What a stretch of the event log means, committed together with how far it was read."""

    notices: Sequence[Notice] = ()
    withdrawn: Sequence[str] = ()
    """Topics that are settled: what was not sent of them will not be."""
    cursor: int | None = None


class NoticeQueue(Protocol):
    """Every operation raises: StoreError."""

    async def cursor(self) -> int | None:
        """None: nothing was ever read."""

    async def take_in(self, intake: Intake, window: timedelta) -> None:
        """First withdraws, then adds. What was sent of a topic less than `window` ago is sent again after it only."""

    async def due(self, target: str, now: datetime, limit: int = 500) -> Sequence[QueuedNotice]:
        """Of one target, oldest first."""

    async def settle(self, seqs: Sequence[int], status: NoticeStatus, at: datetime, error: str | None = None) -> None:
        """Sent, or failed for good."""

    async def put_off(self, seqs: Sequence[int], until: datetime, error: str | None) -> None:
        """`error`: it was tried and failed; None: it was not tried."""

    async def sent_since(self, target: str, since: datetime) -> int: ...

    async def notices(self, query: NoticeQuery) -> Sequence[QueuedNotice]:
        """Newest first."""

    async def prune(self, before: datetime) -> int:
        """Removes what happened before then, also what was never sent: its target is gone. Returns how many."""


class NoticeCarrier(Protocol):
    async def send(self, url: str, title: str, body: str, level: str) -> str | None:
        """Why it could not be delivered; None: it was. Never takes longer than its time limit."""
