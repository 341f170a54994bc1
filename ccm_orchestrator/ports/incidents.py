"""The book of incidents. Open ones outlive the daemon: the next one closes them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from ccm_orchestrator.domain.incidents import Incident, IncidentKind, Trouble


@dataclass(frozen=True, slots=True)
class IncidentQuery:
    open_only: bool = False
    limit: int = 100
    before: int | None = None
    """Only those with a smaller `seq`."""


class IncidentStore(Protocol):
    """Every operation raises: StoreError."""

    async def open(self, trouble: Trouble, at: datetime) -> Incident:
        """The open one of its kind and subject with one more attempt, its detail and runs kept up; else a new one."""

    async def close(self, kind: IncidentKind, subject: str, at: datetime, by: str) -> Incident | None:
        """None: none of that kind and subject was open."""

    async def incidents(self, query: IncidentQuery) -> Sequence[Incident]:
        """Newest first."""
