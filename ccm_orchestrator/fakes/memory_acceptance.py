"""Taking work in, in memory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from ccm_orchestrator.domain.audit import AuditEntry
from ccm_orchestrator.domain.task import DEFAULT_PROFILE, NewTask, Task
from ccm_orchestrator.errors import StoreError
from ccm_orchestrator.ports.acceptance import Accepted
from ccm_orchestrator.ports.audit import AuditLog
from ccm_orchestrator.ports.beside import Beside
from ccm_orchestrator.ports.journal import EventStore
from ccm_orchestrator.ports.tasks import TaskStore


class MemoryAcceptance:
    def __init__(self, tasks: TaskStore, events: EventStore, audit: AuditLog) -> None:
        self._tasks = tasks
        self._events = events
        self._audit = audit

    async def accept(self, new: NewTask, beside: Callable[[Task], Beside]) -> Accepted:
        if not new.profile:
            profiles = {project.name: project.profile for project in await self._tasks.projects()}
            new = replace(new, profile=profiles.get(new.project) or DEFAULT_PROFILE)
        task, is_new = await self._tasks.enqueue(new)
        if not is_new:
            return Accepted(task, False)
        kept = beside(task)
        await self._events.append(kept.events)
        return Accepted(task, True, kept.entry is not None and await self._audited(kept.entry))

    async def _audited(self, entry: AuditEntry) -> bool:
        try:
            await self._audit.record(entry)
        except StoreError:
            return False
        return True
