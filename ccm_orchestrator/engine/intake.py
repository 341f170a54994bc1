"""From the spool to the event log: many files, one commit, then the runs are told."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable, Sequence

from ccm_orchestrator.domain.events import BusEvent, HookRecord
from ccm_orchestrator.engine.failpoints import RUN_DISCARDED, RUN_INGESTED
from ccm_orchestrator.engine.heartbeats import Heart
from ccm_orchestrator.engine.parts import Parts
from ccm_orchestrator.errors import StoreUnavailable
from ccm_orchestrator.ports.agents import AgentDriver, Reading

log = logging.getLogger(__name__)

RETRY_S = 1.0
MAX_RECORDS = 500

Reader = Callable[[str], "tuple[AgentDriver, str] | None"]
"""run id → its driver and task id; None for a run that nobody follows any more."""
Receiver = Callable[[str, Sequence[Reading]], None]


class Intake:
    """Ingests hook events in batches. A file leaves the spool only after its event is committed."""

    def __init__(
        self, parts: Parts, reader: Reader, receive: Receiver, check_term: Callable[[], None] = lambda: None
    ) -> None:
        """`check_term` raises StaleTerm once a newer orchestrator reads the same spool."""
        self._parts = parts
        self._reader = reader
        self._receive = receive
        self._check_term = check_term
        self._dirty: set[str] = set()
        self._news = asyncio.Event()
        self._busy = asyncio.Lock()

    def mark(self, run_id: str) -> None:
        """Something of this run waits in the spool."""
        self._dirty.add(run_id)
        self._news.set()

    async def run(self, heart: Heart) -> None:
        """For ever: whatever is marked is ingested, all marked runs in one commit."""
        while True:
            await heart.turn()
            await heart.rest(math.inf, self._news)
            self._news.clear()
            dirty, self._dirty = self._dirty, set()
            try:
                await self._ingest(dirty)
            except StoreUnavailable as error:
                log.warning("hook events stay in the spool for now: %s", error.message)
                self._dirty |= dirty
                await heart.rest(RETRY_S)
                self._news.set()

    async def drain(self, run_id: str) -> None:
        """Everything that the run has spooled so far is ingested and received when this returns."""
        self._dirty.discard(run_id)
        await self._ingest({run_id})

    async def _ingest(self, run_ids: set[str]) -> None:
        async with self._busy:
            pending = set(run_ids)
            while pending:
                batch = [record for run_id in pending for record in await self._spooled(run_id)]
                await self._commit(batch)
                pending = {record.run_id for record in batch}

    async def _spooled(self, run_id: str) -> Sequence[HookRecord]:
        return await self._parts.launchpad.spooled(run_id, MAX_RECORDS)

    async def _commit(self, batch: Sequence[HookRecord]) -> None:
        if not batch:
            return
        readings: dict[str, list[Reading]] = {}
        pairs: list[tuple[HookRecord, Sequence[BusEvent]]] = []
        for record in batch:
            found = self._reader(record.run_id)
            if found is None:
                pairs.append((record, ()))
                continue
            driver, task_id = found
            reading = driver.read_hook(record, task_id)
            readings.setdefault(record.run_id, []).append(reading)
            pairs.append((record, tuple(reading.events)))
        self._check_term()
        await self._parts.bus.ingest(pairs)
        self._parts.reach(RUN_INGESTED)
        self._check_term()
        await self._parts.launchpad.discard(batch)
        self._parts.reach(RUN_DISCARDED)
        for run_id, read in readings.items():
            self._receive(run_id, read)
