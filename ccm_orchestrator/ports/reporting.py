"""What a task store that many machines share is told beside the tasks' outcomes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from ccm_orchestrator.domain.events import StoredEvent
from ccm_orchestrator.ports.outbox import Metric


class Reports(Protocol):
    """Both may be repeated: what is known already is skipped. Raise: StoreUnavailable, StoreRefused."""

    async def report_events(self, events: Sequence[StoredEvent]) -> None:
        """Events of tasks that came from this store, in order of `seq`."""

    async def report_metrics(self, metrics: Sequence[Metric]) -> None: ...
