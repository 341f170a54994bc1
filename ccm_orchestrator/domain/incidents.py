"""An incident: what went wrong, from its detection to its recovery."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from ccm_orchestrator.domain.events import BusEvent, EventKind


class IncidentKind(StrEnum):
    DAEMON_CRASHED = "daemon_crashed"
    """The daemon ended without saying goodbye, and was started again."""
    DAEMON_HUNG = "daemon_hung"
    """The orchestrator made no progress, or ended by an error, and was replaced."""
    CRASH_LOOP = "crash_loop"
    """The daemon died five times in a row."""
    TMUX_SERVER_LOST = "tmux_server_lost"
    """The tmux server died, was replaced, or does not answer."""
    AGENT_LOST = "agent_lost"
    """An agent ended before its work did; its task is tried again."""
    AGENT_STUCK = "agent_stuck"
    """An agent showed no sign of life; it is asked to go on, and then replaced."""
    STORE_UNREACHABLE = "store_unreachable"
    """The Supabase project does not answer, or refuses this machine."""
    REALTIME_AWAY = "realtime_away"
    """New tasks are not announced at once; the queue is looked at every few seconds instead."""
    DATABASE_UNWRITABLE = "database_unwritable"
    """The embedded database cannot be written."""
    DATABASE_DAMAGED = "database_damaged"
    """The embedded database was damaged, and was replaced by a backup, or by an empty one."""
    DISK_FULL = "disk_full"
    """Hardly any space is left where the state is."""
    HOOK_BACKLOG = "hook_backlog"
    """What agents report waits in the spool for half a minute or more."""
    CLOCK_JUMP = "clock_jump"
    """The machine's clock was set by half a minute or more."""
    BUDGET_SPENT = "budget_spent"
    """What agents may use within a day is used up; over at midnight."""
    TARGET_UNUSABLE = "target_unusable"
    """A target of notifications cannot be used as it is configured; the others work on."""
    RECOVERY_FAILED = "recovery_failed"
    """What should have mended something did not: a person is needed."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """What was detected."""

    kind: IncidentKind
    subject: str
    """What it happened to: a machine, a store, a task. Of one kind and subject at most one incident is open."""
    detected_by: str
    detail: str
    run_ids: tuple[str, ...] = ()

    @property
    def key(self) -> Key:
        return self.kind, self.subject


Key = tuple[IncidentKind, str]


@dataclass(frozen=True, slots=True)
class Incident:
    seq: int
    trouble: Trouble
    opened_at: datetime
    attempts: int = 1
    """How often it happened while it was open; what only lasts counts once."""
    recovered_at: datetime | None = None
    recovered_by: str | None = None

    @property
    def is_open(self) -> bool:
        return self.recovered_at is None


@dataclass(frozen=True, slots=True)
class Opening:
    trouble: Trouble
    at: datetime
    told: bool = False
    """People know of it already: the store was away when it was detected, and they were told without it."""

    @property
    def key(self) -> Key:
        return self.trouble.key


@dataclass(frozen=True, slots=True)
class Closing:
    kind: IncidentKind
    subject: str
    at: datetime
    by: str

    @property
    def key(self) -> Key:
        return self.kind, self.subject


Change = Opening | Closing


def event_of(incident: Incident, told: bool = False) -> BusEvent:
    """That it was opened, or is over."""
    trouble = incident.trouble
    data = {
        "incident": incident.seq,
        "kind": trouble.kind.value,
        "subject": trouble.subject,
        "detail": trouble.detail,
        "recovered_by": incident.recovered_by,
        "told": told,
    }
    if incident.recovered_at is None:
        return BusEvent(EventKind.INCIDENT_OPENED, incident.opened_at, data=data)
    return BusEvent(EventKind.INCIDENT_RECOVERED, incident.recovered_at, data=data)
