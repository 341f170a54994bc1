"""What is told of a fact, and who did it: durable together with the fact itself, or not at all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ccm_orchestrator.domain.audit import AuditEntry
from ccm_orchestrator.domain.dialogue import PermissionRequest
from ccm_orchestrator.domain.events import BusEvent


@dataclass(frozen=True, slots=True)
class Beside:
    events: Sequence[BusEvent] = ()
    entry: AuditEntry | None = None
    """A log that cannot be written undoes nothing."""


NOTHING = Beside()

Telling = Callable[[PermissionRequest], Beside]
"""What is told of a request as it is now. It may be called in any thread."""


def tell_nothing(_request: PermissionRequest) -> Beside:
    return NOTHING
