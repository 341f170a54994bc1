"""Keeps the book of incidents: looks around every few seconds, and reads the event log for what became of agents.

What is looked at is compared with what is open, so that an incident which an earlier daemon opened is closed by this
one. One that lasts longer than its recovery should take becomes another of its own, for which people are woken.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence, Set
from dataclasses import dataclass

from ccm_orchestrator.domain.events import StoredEvent
from ccm_orchestrator.domain.incident_rules import BOUNDARIES, meaning
from ccm_orchestrator.domain.incidents import Change, Closing, IncidentKind, Key, Opening, Trouble
from ccm_orchestrator.engine.bus import Bus
from ccm_orchestrator.engine.heartbeats import Heart
from ccm_orchestrator.engine.incident_book import IncidentBook, standing
from ccm_orchestrator.errors import StoreError
from ccm_orchestrator.ports.incidents import IncidentStore
from ccm_orchestrator.ports.world import Clock

log = logging.getLogger(__name__)

LOOK_S = 10.0
AGAIN_S = 5.0
LONGEST_LOOK_S = 120.0
RECOVERY_S = 300.0
"""How long a recovery may take before a person is needed."""
SAVE_EVERY = 1_000
"""Events after which the place in the log is noted though they meant nothing."""


@dataclass(frozen=True)
class Probe:
    """One thing to look at."""

    healed_by: Mapping[IncidentKind, str]
    """The kinds that it finds, with what makes each good when it is found no more."""
    look: Callable[[], Awaitable[Sequence[Trouble] | None]]
    """What is wrong now; None: that cannot be told at the moment."""
    recovery_s: float = RECOVERY_S


class IncidentWatch:
    def __init__(
        self, book: IncidentBook, store: IncidentStore, bus: Bus, clock: Clock, probes: Sequence[Probe]
    ) -> None:
        self._book = book
        self._store = store
        self._bus = bus
        self._clock = clock
        self._probes = probes
        self._since_s: dict[Key, float] = {}
        """When this daemon first saw it."""

    async def run(self, looker: Heart, reader: Heart) -> None:
        """For as long as the daemon lives."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._keep_looking(looker))
            group.create_task(self._keep_reading(reader))

    async def look(self) -> None:
        """One look at everything."""
        try:
            known = await self._book.keys()
        except StoreError as error:
            log.warning("nothing is looked at: %s", error.message)
            return
        changes: list[Change] = []
        for probe in self._probes:
            found = await probe.look()
            if found is not None:
                changes += self._compared(probe, found, known)
        if changes or self._book.owes:
            await self._book.note(*changes)

    async def read(self, batch: Sequence[StoredEvent], noted: int) -> int:
        """One stretch of the event log; how far it is noted as read. Raises: StoreError."""
        known = set(await self._book.keys())
        changes: list[Change] = []
        for stored in batch:
            meant = meaning(stored.event, known)
            changes += meant
            known = standing(known, meant)
        if not batch or (not changes and batch[-1].seq - noted < SAVE_EVERY):
            return noted
        await self._book.read(changes, batch[-1].seq)
        return batch[-1].seq

    def _compared(self, probe: Probe, found: Sequence[Trouble], known: Set[Key]) -> list[Change]:
        now, now_s = self._clock.now(), self._clock.uptime_s()
        wrong = {trouble.key: trouble for trouble in found}
        changes: list[Change] = []
        for key, trouble in wrong.items():
            lasts_s = now_s - self._since_s.setdefault(key, now_s)
            if key not in known:
                changes.append(Opening(trouble, now))
            if lasts_s >= probe.recovery_s and (higher := escalated(trouble)).key not in known:
                changes.append(Opening(higher, now))
        for key in known - wrong.keys():
            if key[0] in probe.healed_by:
                self._since_s.pop(key, None)
                over = [key, _higher(*key)] if _higher(*key) in known else [key]
                changes += [Closing(*each, now, probe.healed_by[key[0]]) for each in over]
        return changes

    async def _keep_looking(self, heart: Heart) -> None:
        while True:
            await heart.turn()
            await heart.during(self.look(), LONGEST_LOOK_S)
            await heart.rest(LOOK_S)

    async def _keep_reading(self, heart: Heart) -> None:
        while True:
            await heart.turn()
            try:
                noted = await self._begin()
                async for batch in self._bus.batches(noted, idle_s=heart.idle_s, kinds=BOUNDARIES):
                    await heart.turn()
                    noted = await self.read(batch, noted)
            except StoreError as error:
                log.warning("what became of agents is read later: %s", error.message)
            await heart.rest(AGAIN_S)

    async def _begin(self) -> int:
        """What happened before there was any book is no news."""
        cursor = await self._store.cursor()
        if cursor is None:
            cursor = await self._bus.log.last_seq()
            await self._book.read((), cursor)
        return cursor


def escalated(trouble: Trouble) -> Trouble:
    """That it lasts."""
    return Trouble(*_higher(*trouble.key), trouble.detected_by, f"It lasts: {trouble.detail}", trouble.run_ids)


def _higher(kind: IncidentKind, subject: str) -> Key:
    return IncidentKind.RECOVERY_FAILED, f"{kind.value}: {subject}"
