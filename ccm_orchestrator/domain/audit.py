"""What was changed, by whom, from where."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from ccm_orchestrator.domain.caller import Caller, CallerKind

MAX_TARGET = 500
"""Characters of a path; a caller may send a longer one."""


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One call that changed something, or tried to."""

    at: datetime
    caller: str
    """Its name: `local`, a key's prefix, a user's id."""
    kind: CallerKind
    owner: str | None
    """The user that the caller acted for."""
    source: str
    """Address that the call came from, as the socket told."""
    action: str
    """Method and route: `POST /api/tasks/{task_id}/stop`."""
    target: str
    """The path as it was called, or what the call made."""
    status: int
    """Of the answer."""
    before: Mapping[str, object] | None = None
    """What was known of the target before the call; None: nothing, or the call made it."""
    after: Mapping[str, object] | None = None


@dataclass(frozen=True, slots=True)
class AuditRecord:
    seq: int
    entry: AuditEntry


def entry_of(caller: Caller, at: datetime, action: str, target: str, status: int) -> AuditEntry:
    shown = target if len(target) <= MAX_TARGET else target[: MAX_TARGET - 1] + "…"
    return AuditEntry(at, caller.name, caller.kind, caller.owner, caller.source, action, shown, status)
