"""What the daemon answers to its administrators."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from ccm_orchestrator.domain.caller import CallerKind, Scope
from ccm_orchestrator.domain.incidents import IncidentKind
from ccm_orchestrator.domain.notices import Level, NoticeEvent, NoticeStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    key_id: str
    name: str
    prefix: str
    """The part of the key that may be shown."""
    scopes: tuple[Scope, ...]
    owner: str | None
    created_at: datetime
    created_by: str
    expires_at: datetime | None
    last_used_at: datetime | None
    revoked_at: datetime | None
    works: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class NewKey(Key):
    key: str = field(repr=False)
    """The key itself. It is shown this once and kept nowhere."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditRecord:
    seq: int
    at: datetime
    caller: str
    kind: CallerKind
    owner: str | None
    source: str
    action: str
    target: str
    status: int
    before: dict[str, Any] | None
    after: dict[str, Any] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Incident:
    seq: int
    kind: IncidentKind
    subject: str
    """What it happened to: a machine, a store, a task."""
    detail: str
    detected_by: str
    run_ids: tuple[str, ...]
    opened_at: datetime
    attempts: int
    """How often it happened while it was open; what only lasts counts once."""
    recovered_at: datetime | None
    """None: it is open."""
    recovered_by: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectSpending:
    project: str
    """Empty: of runs that are not kept any more."""
    cost_usd: float
    tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    system_id: str
    begins: datetime
    """The midnight that began the day."""
    ends: datetime
    cost_usd: float
    cost_usd_per_day: float | None
    """None: no budget is set."""
    tokens: int
    """Without those that were read from a cache."""
    tokens_per_day: int | None
    hold: bool
    """Nothing more is begun on a day whose budget is spent."""
    spent: str
    """What of the budget is spent, as a sentence; empty: there is something left."""
    projects: tuple[ProjectSpending, ...]
    """What has used most first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Notification:
    seq: int
    target: str
    event: NoticeEvent
    level: Level
    title: str
    body: str
    at: datetime
    """When it happened first."""
    due_at: datetime
    """Not sent before."""
    count: int
    """How often it happened since."""
    tries: int
    status: NoticeStatus
    sent_at: datetime | None
    error: str | None
    """Why the last try failed."""


@dataclass(frozen=True, slots=True)
class Stopped:
    agents: tuple[str, ...]
    """Those that were ended."""
    surviving: tuple[str, ...]
    """Those of which processes are left."""
    untold: tuple[str, ...]
    """Task stores that are away."""
