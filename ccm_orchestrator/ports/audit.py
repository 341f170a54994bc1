"""The log of every call that changes something. It only grows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from ccm_orchestrator.domain.audit import AuditEntry, AuditRecord


@dataclass(frozen=True, slots=True)
class AuditQuery:
    limit: int = 100
    before: int | None = None
    """Only those with a smaller `seq`."""
    caller: str | None = None
    action: str | None = None
    """Only those whose action contains this."""
    target: str | None = None
    """Only those whose target contains this."""


class AuditLog(Protocol):
    async def record(self, entry: AuditEntry) -> None:
        """Durable when it returns. Raises: StoreError."""

    async def read(self, query: AuditQuery) -> Sequence[AuditRecord]:
        """Newest first."""
