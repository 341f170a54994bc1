"""What must still be told to a task store that is somewhere else: kept here until it has been told, in order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from ccm_orchestrator.domain.events import BusEvent
from ccm_orchestrator.domain.leasing import Release
from ccm_orchestrator.domain.result import TaskResult
from ccm_orchestrator.domain.task import LeaseKey, Task


@dataclass(frozen=True, slots=True)
class Deed:
    """How a run ended, for the store that its task came from: finished with `result`, or given back."""

    store: str
    run_id: str
    task_id: str
    fence: int
    result: TaskResult
    release: Release | None
    """None: the outcome is final."""
    at: datetime

    @property
    def key(self) -> LeaseKey:
        return LeaseKey(self.task_id, self.fence)


@dataclass(frozen=True, slots=True)
class Metric:
    """Figures of this system at one moment."""

    metric_key: str
    """Unique for this system, so that telling it twice is harmless."""
    at: datetime
    data: dict[str, float]


class Outbox(Protocol):
    """Survives the daemon. Everything is duplicate-safe."""

    async def put(self, deed: Deed) -> None:
        """The first deed of a claim stays: a run ends once."""

    async def deeds(self, store: str, limit: int = 100) -> Sequence[Deed]:
        """Not told yet, oldest first."""

    async def settle(self, deed: Deed, told: Sequence[BusEvent] = ()) -> None:
        """It was told; what is said of it here is durable together with that."""

    async def keep_task(self, run_id: str, task: Task) -> None:
        """As it was claimed: what a run needs of it must not depend on its store being reachable."""

    async def kept_task(self, run_id: str) -> Task | None: ...

    async def forget_task(self, run_id: str) -> None: ...

    async def cursor(self, store: str) -> int:
        """`seq` of the last event of the log that was told; 0: none yet."""

    async def move_cursor(self, store: str, seq: int) -> None: ...

    async def put_metric(self, store: str, metric: Metric, keep: int) -> None:
        """The oldest beyond `keep` are dropped: figures of last week help nobody."""

    async def metrics(self, store: str, limit: int = 100) -> Sequence[Metric]:
        """Not told yet, oldest first."""

    async def settle_metrics(self, store: str, metrics: Sequence[Metric]) -> None: ...
