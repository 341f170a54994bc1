"""An incident: what went wrong, from its detection to its recovery."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class IncidentKind(StrEnum):
    DAEMON_CRASHED = "daemon_crashed"
    DAEMON_HUNG = "daemon_hung"
    CRASH_LOOP = "crash_loop"
    TMUX_SERVER_LOST = "tmux_server_lost"
    AGENT_LOST = "agent_lost"
    STORE_UNREACHABLE = "store_unreachable"
    REALTIME_AWAY = "realtime_away"
    DATABASE_UNWRITABLE = "database_unwritable"
    DATABASE_DAMAGED = "database_damaged"
    RECOVERY_FAILED = "recovery_failed"
    CLOCK_JUMP = "clock_jump"


@dataclass(frozen=True, slots=True)
class Trouble:
    """What was detected."""

    kind: IncidentKind
    subject: str
    """What it happened to: a machine, a store, a task. Of one kind and subject at most one incident is open."""
    detected_by: str
    detail: str
    run_ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Incident:
    seq: int
    trouble: Trouble
    opened_at: datetime
    attempts: int = 1
    """How often it was detected while it was open."""
    recovered_at: datetime | None = None
    recovered_by: str | None = None

    @property
    def is_open(self) -> bool:
        return self.recovered_at is None
