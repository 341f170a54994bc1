"""A task store that is somewhere else: it may be away, refuse, be slow, and forget nobody's claims."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ccm_orchestrator.domain import leasing
from ccm_orchestrator.domain.events import EventKind, StoredEvent
from ccm_orchestrator.domain.result import TaskResult
from ccm_orchestrator.domain.task import LeaseKey, NewTask, Task, TaskStatus
from ccm_orchestrator.engine.queues import Queue
from ccm_orchestrator.errors import StoreError, StoreUnavailable
from ccm_orchestrator.fakes.clock import FakeClock
from ccm_orchestrator.fakes.memory_tasks import MemoryTaskStore
from ccm_orchestrator.ports.outbox import Metric
from ccm_orchestrator.ports.systems import SystemView
from ccm_orchestrator.ports.tasks import ClaimRequest, FinishAnswer, LeaseAnswer, Release

AWAY = StoreUnavailable("The network is down.")


class Elsewhere(MemoryTaskStore):
    """`trouble` set: every call from a machine fails with it, before anything happened."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__(clock)
        self.clock = clock
        self.trouble: StoreError | None = None
        self.answers_lost: set[str] = set()
        """Operations that happen, and whose answer does not arrive, once."""
        self.slow_claim_s = 0.0
        self.events: list[StoredEvent] = []
        self.metrics: list[Metric] = []
        self.calls: list[str] = []

    def queue(self) -> Queue:
        return Queue("supabase", self, self)

    def kinds(self) -> list[EventKind]:
        return [stored.event.kind for stored in self.events]

    async def status(self, task_id: str) -> TaskStatus:
        """As somebody sees it who sits there."""
        return self._tasks[task_id].status

    async def add(self, prompt: str = "Do it there.") -> str:
        return (await self.enqueue(NewTask("demo", prompt)))[0].task_id

    def take_over(self, task_id: str) -> None:
        self._save(leasing.taken_over(self._tasks[task_id], self.clock.now()))

    def _ask(self, operation: str) -> None:
        self.calls.append(operation)
        if self.trouble is not None:
            raise self.trouble

    def _lose(self, operation: str) -> None:
        if operation in self.answers_lost:
            self.answers_lost.discard(operation)
            raise StoreUnavailable("The answer did not arrive.")

    async def get(self, task_id: str) -> Task:
        self._ask("get")
        return await super().get(task_id)

    async def claim(self, request: ClaimRequest) -> Sequence[Task]:
        self._ask("claim")
        claimed = await super().claim(request)
        if claimed:
            self.clock.advance(self.slow_claim_s)
            self.slow_claim_s = 0.0
            self._lose("claim")
        return claimed

    async def renew(
        self, system_id: str, boot_id: str, keys: Sequence[LeaseKey], lease_s: float
    ) -> Mapping[str, LeaseAnswer]:
        self._ask("renew")
        return await super().renew(system_id, boot_id, keys, lease_s)

    async def adopt(self, key: LeaseKey, system_id: str, boot_id: str, lease_s: float) -> LeaseAnswer:
        self._ask("adopt")
        return await super().adopt(key, system_id, boot_id, lease_s)

    async def begin(self, key: LeaseKey, run_id: str) -> Task:
        self._ask("begin")
        return await super().begin(key, run_id)

    async def mark(self, key: LeaseKey, status: TaskStatus) -> Task:
        self._ask("mark")
        return await super().mark(key, status)

    async def finish(self, key: LeaseKey, result: TaskResult) -> FinishAnswer:
        self._ask("finish")
        answer = await super().finish(key, result)
        self._lose("finish")
        return answer

    async def release(self, key: LeaseKey, release: Release) -> Task:
        self._ask("release")
        return await super().release(key, release)

    async def rescue(self, system_id: str, takeover_grace_s: float) -> Sequence[Task]:
        self._ask("rescue")
        return await super().rescue(system_id, takeover_grace_s)

    async def drain(self, system_id: str, draining: bool = True) -> None:
        self._ask("drain")
        await super().drain(system_id, draining)

    async def systems(self) -> Sequence[SystemView]:
        self._ask("systems")
        return await super().systems()

    async def report_events(self, events: Sequence[StoredEvent]) -> None:
        self._ask("report_events")
        self.events += events

    async def report_metrics(self, metrics: Sequence[Metric]) -> None:
        self._ask("report_metrics")
        self.metrics += metrics
