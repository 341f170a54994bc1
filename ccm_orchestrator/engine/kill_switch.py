"""Ends every agent of this machine, now, whatever else works or does not."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from ccm_orchestrator.domain.run import Run, agent_name
from ccm_orchestrator.engine.queues import LOCAL, Queue, Queues
from ccm_orchestrator.errors import InputError, NotFound, OrchestratorError, StoreError
from ccm_orchestrator.ports.journal import Journal, RunQuery
from ccm_orchestrator.ports.launching import Launchpad
from ccm_orchestrator.ports.systems import SystemInfo
from ccm_orchestrator.ports.world import Clock

log = logging.getLogger(__name__)

POLITE_S = 4.0
"""From SIGTERM to SIGKILL: an agent that is meant to be stopped now gets no more."""
LIMIT_S = 10.0
REMOTE_PATIENCE_S = 2.0
LOOK_S = 0.1
_ALL_RUNS = 100_000


@dataclass(frozen=True, slots=True)
class Stopped:
    agents: Sequence[str]
    """Names of those that were ended."""
    surviving: Sequence[str]
    """Those of which processes are left after SIGKILL and some seconds."""
    untold: Sequence[str]
    """Task stores that did not answer: they learn it when they do."""


class KillSwitch:
    """Nothing here waits for a store that is somewhere else, and a broken database keeps no agent alive."""

    def __init__(
        self, queues: Queues, journal: Journal, launchpad: Launchpad, clock: Clock, poke: Callable[[], None]
    ) -> None:
        self._queues = queues
        self._journal = journal
        self._launchpad = launchpad
        self._clock = clock
        self._poke = poke

    async def stop_all(self, system_id: str) -> Stopped:
        """The system claims nothing until its drain is taken back; every agent ends, and its task is cancelled."""
        untold = [queue.name for queue in self._queues if not await _drained(queue, system_id)]
        ended, surviving = await end_all(self._launchpad, self._clock, self._open_runs)
        self._poke()
        return Stopped(ended, surviving, (*untold, *self._queues.out_of_reach))

    async def _open_runs(self) -> set[str]:
        """Also those that have no process yet; the tasks of all are cancelled."""
        try:
            runs = await self._journal.runs(RunQuery(open_only=True, limit=_ALL_RUNS))
        except StoreError as error:
            log.error("only agents with processes are stopped, the journal is away: %s", error.message)
            return set()
        for run in runs:
            await self._cancel(run)
        return {run.run_id for run in runs}

    async def _cancel(self, run: Run) -> None:
        """Of a store that is somewhere else the task is cancelled by the end of its run."""
        if run.store == LOCAL:
            with suppress(InputError, StoreError):
                await self._queues.local.cancel(run.task_id)


async def no_runs() -> set[str]:
    return set()


async def end_all(
    launchpad: Launchpad, clock: Clock, open_runs: Callable[[], Awaitable[set[str]]] = no_runs
) -> tuple[list[str], list[str]]:
    """Names of the agents that were ended, and of those that live on. A run that begins meanwhile is ended, too."""
    condemned, ended = set[str](), set[str]()
    began_s = clock.uptime_s()
    while True:
        living = await launchpad.living()
        fresh = (living | await open_runs()) - condemned
        for run_id in fresh:
            await launchpad.condemn(run_id)
            await launchpad.terminate(run_id)
        condemned |= fresh
        ended |= living
        waited_s = clock.uptime_s() - began_s
        if not (living or fresh) or waited_s > LIMIT_S:
            return _names(ended - living), _names(living)
        if waited_s > POLITE_S:
            await asyncio.gather(*(launchpad.kill(run_id) for run_id in living))
        await asyncio.sleep(LOOK_S)


def _names(run_ids: Iterable[str]) -> list[str]:
    return sorted(agent_name(run_id) for run_id in run_ids)


async def _drain(queue: Queue, system_id: str) -> None:
    """Also where no daemon of this machine ever ran: the first one must find it drained."""
    try:
        await queue.store.drain(system_id, True)
    except NotFound:
        if queue.remote:
            raise
        await queue.store.register_system(SystemInfo(system_id, system_id, "", 0), "")
        await queue.store.drain(system_id, True)


async def _drained(queue: Queue, system_id: str) -> bool:
    try:
        async with asyncio.timeout(REMOTE_PATIENCE_S if queue.remote else None):
            await _drain(queue, system_id)
    except (OrchestratorError, TimeoutError) as error:
        log.warning("%s is not told that this machine claims nothing more: %s", queue.name, error)
        return False
    return True
