"""The book of incidents. Open ones outlive the daemon: the next one closes them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from ccm_orchestrator.domain.incidents import Change, Incident


@dataclass(frozen=True, slots=True)
class IncidentQuery:
    open_only: bool = False
    limit: int = 100
    before: int | None = None
    """Only those with a smaller `seq`."""


class IncidentStore(Protocol):
    """Every operation raises: StoreError."""

    async def apply(self, changes: Sequence[Change], cursor: int | None = None) -> Sequence[Incident]:
        """All in one commit, with the event of each incident that is new or over, and with how far the event log was
        read. Returns those incidents.

        An opening whose kind and subject are open counts there, and keeps detail and runs up; a closing of what is not
        open is nothing.
        """

    async def cursor(self) -> int | None:
        """How far the event log was read for the book, which never goes back; None: nothing was ever read."""

    async def incidents(self, query: IncidentQuery) -> Sequence[Incident]:
        """Newest first."""

    async def prune(self, before: datetime) -> int:
        """Removes what was over before then; returns how many."""
