"""An audit log in memory."""

from __future__ import annotations

from collections.abc import Sequence

from ccm_orchestrator.domain.audit import AuditEntry, AuditRecord
from ccm_orchestrator.ports.audit import AuditQuery


class MemoryAuditLog:
    def __init__(self) -> None:
        self._records: list[AuditRecord] = []

    async def record(self, entry: AuditEntry) -> None:
        self._records.append(AuditRecord(len(self._records) + 1, entry))

    async def read(self, query: AuditQuery) -> Sequence[AuditRecord]:
        return [record for record in reversed(self._records) if _wanted(record, query)][: query.limit]


def _wanted(record: AuditRecord, query: AuditQuery) -> bool:
    entry = record.entry
    return (
        (query.before is None or record.seq < query.before)
        and query.caller in (None, entry.caller)
        and (query.action or "") in entry.action
        and (query.target or "") in entry.target
    )
