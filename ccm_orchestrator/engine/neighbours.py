"""Tells people when another machine of a shared store has fallen silent: once per silence."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

from ccm_orchestrator.domain.events import BusEvent, EventKind
from ccm_orchestrator.domain.presence import CONNECTION_GAP, SILENT_AFTER
from ccm_orchestrator.engine.heartbeats import Heart
from ccm_orchestrator.engine.parts import Parts
from ccm_orchestrator.engine.queues import Queue
from ccm_orchestrator.errors import StoreError
from ccm_orchestrator.ports.systems import SystemView

log = logging.getLogger(__name__)

LOOK_S = 60.0


class Neighbours:
    def __init__(self, parts: Parts, queue: Queue) -> None:
        self._parts = parts
        self._queue = queue
        self._silent: set[str] = set()
        """Those that were told of."""

    async def run(self, heart: Heart) -> None:
        while True:
            await heart.turn()
            try:
                await self._look()
            except StoreError as error:
                log.debug("the other machines are not looked at: %s", error.message)
            await heart.rest(LOOK_S)

    async def _look(self) -> None:
        silent = silent_systems(await self._queue.store.systems(), self._parts.system_id)
        if silent is None:
            return
        for system_id in silent.keys() - self._silent:
            await self._tell(silent[system_id])
        for system_id in self._silent - silent.keys():
            log.info("system %s is heard of again, or has left", system_id)
        self._silent = set(silent)

    async def _tell(self, system: SystemView) -> None:
        log.warning(
            "system %s (%s) has been silent for %.0f minutes, and holds %d tasks: look at that machine",
            system.system_id,
            system.system_name,
            system.silent_s / 60,
            system.leased,
        )
        data = {
            "system_id": system.system_id,
            "system_name": system.system_name,
            "silent_s": round(system.silent_s),
            "leased": system.leased,
        }
        await self._parts.bus.publish(BusEvent(EventKind.SYSTEM_SILENT, self._parts.clock.now(), data=data))


def silent_systems(systems: Sequence[SystemView], here: str) -> Mapping[str, SystemView] | None:
    """By id. None: not known, for this machine was not connected long enough itself to blame the others.

    One that was drained and holds nothing was switched off on purpose.
    """
    silent_after_s = SILENT_AFTER.total_seconds()
    if not any(system.system_id == here and _connected_s(system) >= silent_after_s for system in systems):
        return None
    return {
        system.system_id: system
        for system in systems
        if system.system_id != here and system.silent_s > silent_after_s and (system.leased or not system.draining)
    }


def _connected_s(system: SystemView) -> float:
    """How long it has been connected without a gap; nothing while it is away."""
    if system.silent_s > CONNECTION_GAP.total_seconds():
        return 0.0
    return system.silent_s + (system.last_seen - system.connected_since).total_seconds()
