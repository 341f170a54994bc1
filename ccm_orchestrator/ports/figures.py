"""What can be counted of this system at one moment, from what is stored: right after a restart, too."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Figures:
    """Of the embedded store. What is nowhere is in no mapping."""

    tasks: Mapping[tuple[str, str], int] = field(default_factory=dict)
    """Unfinished tasks by project and status."""
    oldest_queued_s: Mapping[str, float] = field(default_factory=dict)
    """Age of the oldest task that could be claimed, by project."""
    agents: Mapping[str, int] = field(default_factory=dict)
    """Agents of open runs, by state."""
    permissions: int = 0
    """Requests that nobody answered yet."""
    oldest_permission_s: float = 0.0
    outbox: Mapping[str, int] = field(default_factory=dict)
    """Outcomes that a store elsewhere was not told yet, by store."""
    incidents: Mapping[str, int] = field(default_factory=dict)
    """Open ones, by kind."""
    term: int = 0
    """How often an orchestrator was started here, ever."""


@dataclass(frozen=True, slots=True)
class Spent:
    """What runs that ended have used."""

    cost_usd: float = 0.0
    """As far as it is known."""
    tokens: int = 0
    """Without those that were read from a cache."""
    seq: int = 0
    """How far the event log was counted."""


class FigureStore(Protocol):
    async def spent(self, since: datetime, after_seq: int) -> Spent:
        """By runs whose end is in the event log, after `after_seq` and not before `since`. Raises: StoreError."""

    async def spent_by_project(self, since: datetime) -> Mapping[str, Spent]:
        """The same from `since` on, by project; under an empty name what no run is known for any more.
        Raises: StoreError."""

    async def figures(self) -> Figures:
        """Takes milliseconds, however many tasks there are. Raises: StoreError."""
