"""Tells a store that is somewhere else what became of its tasks: in order, and for as long as it takes."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from typing import Any

from ccm_orchestrator.domain.events import BusEvent, EventKind, StoredEvent
from ccm_orchestrator.domain.task import TaskStatus
from ccm_orchestrator.engine.ending import ENDED, GIVEN_BACK, figures
from ccm_orchestrator.engine.heartbeats import Heart
from ccm_orchestrator.engine.leases import Leases
from ccm_orchestrator.engine.parts import Parts
from ccm_orchestrator.engine.queues import Queue, pause_after
from ccm_orchestrator.errors import Fenced, RunNotFound, StoreError, TaskNotFound
from ccm_orchestrator.ports.journal import RunQuery
from ccm_orchestrator.ports.outbox import Deed, Metric
from ccm_orchestrator.ports.tasks import FinishAnswer, LeaseAnswer

log = logging.getLogger(__name__)

TOGETHER_S = 2.0
"""Events of so long are told in one call; an outcome waits for nothing."""
LOOK_S = 15.0
"""When nothing is published."""
EVENTS_AT_ONCE = 500
_OPEN = RunQuery(open_only=True, limit=1000)
METRICS_KEPT = 1_440
"""A day of minutes."""
_UNTOLD = frozenset({EventKind.HOOK, EventKind.HOOK_MALFORMED, EventKind.AGENT_OUTPUT, EventKind.FILE_READ})
"""Too many, and of use only to who sits before the machine."""


class Courier:
    """Of one store. Its outbox survives the daemon, so a new one goes on where the old one was."""

    def __init__(self, parts: Parts, queue: Queue, leases: Leases) -> None:
        assert queue.reports is not None
        self._parts = parts
        self._queue = queue
        self._reports = queue.reports
        self._leases = leases
        self._metrics_at_s = 0.0
        self._stores: dict[str, str] = {}
        """Run id → the store that its task came from."""
        self._away = ""

    async def run(self, heart: Heart) -> None:
        while True:
            await heart.turn()
            self._leases.deed_noted.clear()
            news: asyncio.Future[Any] = asyncio.ensure_future(self._parts.bus.wait(LOOK_S))
            await asyncio.sleep(0)  # registered before the outbox is read: nothing can fall between the two
            try:
                await self._deliver(heart)
                await self._report_events(heart)
                await self._report_metrics(heart)
                self._away = ""
                await self._rest(news, heart)
            except StoreError as error:
                if error.message != self._away:
                    log.warning("%s is told later: %s", self._queue.name, error.message)
                self._away = error.message
                await heart.rest(pause_after(error))
            finally:
                news.cancel()

    async def _rest(self, news: asyncio.Future[Any], heart: Heart) -> None:
        """`news` ends by itself after `LOOK_S`."""
        deed: asyncio.Future[Any] = asyncio.ensure_future(self._leases.deed_noted.wait())
        try:
            while not (await asyncio.wait({deed, news}, timeout=heart.idle_s, return_when=asyncio.FIRST_COMPLETED))[0]:
                heart.beat()
            await asyncio.wait({deed}, timeout=TOGETHER_S)
        finally:
            deed.cancel()

    # --- outcomes ---

    async def _deliver(self, heart: Heart) -> None:
        for deed in await self._parts.outbox.deeds(self._queue.name):
            heart.beat()
            kind, data = await self._tell(deed, heart)
            event = BusEvent(kind, self._parts.clock.now(), deed.task_id, deed.run_id, data)
            await self._parts.outbox.settle(deed, [event])
            self._leases.forget(deed.key)
            self._parts.bus.wake({kind})

    async def _tell(self, deed: Deed, heart: Heart) -> tuple[EventKind, dict[str, object]]:
        """What to publish of it. Raises: StoreUnavailable and its kin."""
        fenced: tuple[EventKind, dict[str, object]] = (EventKind.TASK_FENCED, {"run_id": deed.run_id})
        if await self._leases.confirm(deed.key, heart.beat) is LeaseAnswer.FENCED:
            with contextlib.suppress(TaskNotFound):
                await self._queue.store.finish(deed.key, deed.result)  # refused, and kept as evidence
            return fenced
        heart.beat()
        try:
            return await self._release(deed) if deed.release else await self._finish(deed, heart)
        except Fenced:
            return fenced

    async def _finish(self, deed: Deed, heart: Heart) -> tuple[EventKind, dict[str, object]]:
        if await self._queue.store.finish(deed.key, deed.result) is FinishAnswer.FENCED:
            raise Fenced()
        heart.beat()
        task = await self._queue.store.get(deed.task_id)
        outcome = task.result.outcome if task.result else deed.result.outcome
        failure = deed.result.failure
        told = {"attempt": deed.result.attempt, "reason": failure.message if failure else ""}
        return ENDED[outcome], told | figures(deed.result)

    async def _release(self, deed: Deed) -> tuple[EventKind, dict[str, object]]:
        assert deed.release is not None
        task = await self._queue.store.release(deed.key, deed.release)
        return GIVEN_BACK.get(task.status, EventKind.TASK_QUEUED), release_data(deed)

    # --- events and figures ---

    async def start(self) -> None:
        """Before anything is claimed: what happened before this store was served is not its business."""
        if not await self._parts.outbox.cursor(self._queue.name):
            await self._parts.outbox.move_cursor(self._queue.name, max(1, await self._parts.bus.log.last_seq()))

    async def _report_events(self, heart: Heart) -> None:
        cursor = await self._parts.outbox.cursor(self._queue.name)
        while events := await self._parts.bus.log.read(cursor, EVENTS_AT_ONCE):
            heart.beat()
            theirs = [stored for stored in events if await self._is_theirs(stored)]
            if theirs:
                await self._reports.report_events(theirs)
            cursor = events[-1].seq
            await self._parts.outbox.move_cursor(self._queue.name, cursor)

    async def _is_theirs(self, stored: StoredEvent) -> bool:
        event = stored.event
        if event.run_id is None or event.task_id is None or event.kind in _UNTOLD:
            return False
        if event.run_id not in self._stores:
            try:
                self._stores[event.run_id] = (await self._parts.journal.run(event.run_id)).store
            except RunNotFound:
                self._stores[event.run_id] = ""
        return self._stores[event.run_id] == self._queue.name

    async def _report_metrics(self, heart: Heart) -> None:
        await self._take_figures()
        while metrics := await self._parts.outbox.metrics(self._queue.name):
            heart.beat()
            await self._reports.report_metrics(metrics)
            await self._parts.outbox.settle_metrics(self._queue.name, metrics)

    async def _take_figures(self) -> None:
        parts, now_s = self._parts, self._parts.clock.uptime_s()
        if now_s < self._metrics_at_s:
            return
        self._metrics_at_s = now_s + parts.limits.metrics_interval_s
        now = parts.clock.now()
        deeds = await parts.outbox.deeds(self._queue.name)
        local = await parts.queues.local.counts()
        figures = {
            "agents": float(len(await parts.journal.runs(_OPEN))),
            "max_agents": float(parts.limits.max_agents),
            "untold_outcomes": float(len(deeds)),
            "local_tasks_queued": float(local.get(TaskStatus.QUEUED, 0)),
            "load_1m": os.getloadavg()[0],
        }
        metric = Metric(f"{parts.boot_id}:{now.isoformat()}", now, figures)
        await parts.outbox.put_metric(self._queue.name, metric, METRICS_KEPT)


def release_data(deed: Deed) -> dict[str, object]:
    release = deed.release
    assert release is not None
    return figures(deed.result) | {
        "reason": release.detail,
        "run_after": release.run_after.isoformat() if release.run_after else None,
        "hold_reason": release.hold.reason if release.hold else None,
    }
