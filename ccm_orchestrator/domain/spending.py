"""What agents may use within a day, and when that is too much."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, time, timedelta, tzinfo

from ccm_orchestrator.domain.events import EventKind

ENDS = frozenset(
    {EventKind.TASK_SUCCEEDED, EventKind.TASK_FAILED, EventKind.TASK_CANCELLED, EventKind.TASK_QUEUED}
    | {EventKind.TASK_HELD, EventKind.TASK_FENCED}
)
"""Events of a run that ended: they tell what it has used."""
COUNTED = ("input_tokens", "output_tokens", "cache_creation_tokens")


@dataclass(frozen=True, slots=True)
class Budget:
    zone: tzinfo
    cost_usd: float | None = None
    tokens: int | None = None
    hold: bool = False

    @property
    def is_set(self) -> bool:
        return self.cost_usd is not None or self.tokens is not None

    def day_of(self, now: datetime) -> datetime:
        """Its midnight."""
        return datetime.combine(now.astimezone(self.zone).date(), time(), self.zone)

    def end_of(self, now: datetime) -> datetime:
        """The midnight after it."""
        return datetime.combine(now.astimezone(self.zone).date() + timedelta(days=1), time(), self.zone)

    def crossed(self, cost_usd: float, tokens: int) -> str:
        """A sentence; empty: there is something left."""
        spent = []
        if self.cost_usd is not None and cost_usd >= self.cost_usd:
            spent.append(f"{cost_usd:.2f} of {self.cost_usd:.2f} USD")
        if self.tokens is not None and tokens >= self.tokens:
            spent.append(f"{tokens} of {self.tokens} tokens")
        if not spent:
            return ""
        then = "Nothing more is begun until midnight; agents at work go on." if self.hold else "Agents go on."
        return f"Today's budget is spent: {' and '.join(spent)}. {then}"
