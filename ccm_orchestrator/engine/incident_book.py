"""Opens and closes incidents. What the store does not take for the moment is kept, told without it, and written later.

A row and its event are one commit; what a crash of the daemon takes from memory was detected by looking, and the next
daemon looks again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence, Set
from dataclasses import replace

from ccm_orchestrator.domain.events import BusEvent, EventKind
from ccm_orchestrator.domain.incidents import Change, Closing, Incident, IncidentKind, Key, Opening, Trouble, event_of
from ccm_orchestrator.engine.bus import Bus
from ccm_orchestrator.errors import StoreError
from ccm_orchestrator.ports.incidents import IncidentQuery, IncidentStore
from ccm_orchestrator.ports.world import Clock

log = logging.getLogger(__name__)

MOST_OPEN = 10_000
KINDS = frozenset({EventKind.INCIDENT_OPENED, EventKind.INCIDENT_RECOVERED})
TELL_AGAIN_S = 60.0

Tell = Callable[[BusEvent], Awaitable[bool]]
"""Tells people without the store; False: not everybody who wants it could be told."""


class IncidentBook:
    def __init__(self, store: IncidentStore, bus: Bus, clock: Clock, tell: Tell) -> None:
        self._store = store
        self._bus = bus
        self._clock = clock
        self._tell = tell
        self._known: set[Key] | None = None
        self._owed: list[Change] = []
        self._tell_after_s = 0.0
        self._turn = asyncio.Lock()

    async def open(self, trouble: Trouble) -> None:
        await self.note(Opening(trouble, self._clock.now()))

    async def close(self, kind: IncidentKind, subject: str, by: str) -> None:
        await self.note(Closing(kind, subject, self._clock.now(), by))

    async def note(self, *changes: Change) -> None:
        """Never fails: what cannot be written now is owed, and people are told all the same."""
        async with self._turn:
            self._owed += changes
            if not self._owed:
                return
            try:
                await self._write(self._owed)
                self._owed = []
                self._tell_after_s = 0.0
            except StoreError as error:
                log.warning("incidents are written down later: %s", error.message)
                await self._tell_owed(fresh=bool(changes))

    async def read(self, changes: Sequence[Change], cursor: int) -> None:
        """What a stretch of the event log means. Raises: StoreError."""
        async with self._turn:
            await self._write(changes, cursor)

    async def keys(self) -> Set[Key]:
        """Of what is open, written down or not. Raises: StoreError."""
        return standing(await self._load(), self._owed)

    @property
    def owes(self) -> bool:
        return bool(self._owed)

    async def _write(self, changes: Sequence[Change], cursor: int | None = None) -> None:
        before = await self._load()
        if not changes and cursor is None:
            return
        told = await self._store.apply(changes, cursor)
        self._known = standing(before, changes)
        for incident in told:
            _log(incident)
        if told:
            self._bus.wake(KINDS)

    async def _load(self) -> set[Key]:
        if self._known is None:
            found = await self._store.incidents(IncidentQuery(open_only=True, limit=MOST_OPEN))
            self._known = {incident.trouble.key for incident in found}
        return self._known

    async def _tell_owed(self, fresh: bool) -> None:
        now_s = self._clock.uptime_s()
        if not fresh and now_s < self._tell_after_s:
            return
        self._tell_after_s = now_s + TELL_AGAIN_S
        for number, change in enumerate(self._owed):
            if isinstance(change, Opening) and not change.told:
                told = await self._tell(event_of(Incident(0, change.trouble, change.at)))
                self._owed[number] = replace(change, told=told)


def standing(known: Set[Key], changes: Sequence[Change]) -> set[Key]:
    """What is open after the changes."""
    open_now = set(known)
    for change in changes:
        if isinstance(change, Opening):
            open_now.add(change.key)
        else:
            open_now.discard(change.key)
    return open_now


def _log(incident: Incident) -> None:
    trouble = incident.trouble
    words = trouble.kind.value.replace("_", " ")
    if incident.is_open:
        log.warning("incident %d: %s, %s: %s", incident.seq, words, trouble.subject, trouble.detail)
    else:
        log.info("incident %d is over: %s, %s: by %s", incident.seq, words, trouble.subject, incident.recovered_by)
