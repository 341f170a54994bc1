"""Where a run stands (begun, running, waiting), told to the store that its task came from."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from ccm_orchestrator.domain.run import Run
from ccm_orchestrator.domain.task import Task, TaskStatus
from ccm_orchestrator.engine.cancelling import cancel_all
from ccm_orchestrator.engine.queues import Queue, pause_after
from ccm_orchestrator.errors import Fenced, StoreError, TaskNotFound

log = logging.getLogger(__name__)

_BEGUN = frozenset({TaskStatus.RUNNING, TaskStatus.WAITING})


class Standing:
    """An embedded store is told at once; for one that is somewhere else nobody waits, and only the newest counts."""

    def __init__(
        self,
        queue: Queue,
        run: Run,
        status: TaskStatus,
        told: Callable[[Task, bool], Awaitable[None]],
        fence: Callable[[], None],
    ) -> None:
        """`told` gets the task as the store has it now, and whether it had begun before; `fence` is called when the
        claim was superseded."""
        self._queue = queue
        self._run = run
        self._on_told = told
        self._fence = fence
        self._fenced = False
        self._told = status
        self._wanted = status
        self._teller: asyncio.Task[object] | None = None

    async def begin(self) -> None:
        """The agent's process runs. Raises: StoreUnavailable (an embedded store)."""
        if self._wanted not in _BEGUN or self._told not in _BEGUN:
            await self._tell(TaskStatus.RUNNING)

    async def mark(self, waiting: bool) -> None:
        """Raises: StoreUnavailable (an embedded store)."""
        if self._wanted in _BEGUN:
            await self._tell(TaskStatus.WAITING if waiting else TaskStatus.RUNNING)

    async def stop(self) -> None:
        """The run is over: its outcome says more than this."""
        if self._teller is not None:
            await cancel_all([self._teller])

    async def _tell(self, wanted: TaskStatus) -> None:
        self._wanted = wanted
        if not self._queue.remote:
            await self._catch_up()
        elif self._teller is None or self._teller.done():
            self._teller = asyncio.create_task(self._catch_up_patiently())

    async def _catch_up_patiently(self) -> None:
        while self._told is not self._wanted and not self._fenced:
            try:
                await self._catch_up()
            except StoreError as error:
                log.warning("where task %s stands is told later: %s", self._run.task_id, error.message)
                await asyncio.sleep(pause_after(error))

    async def _catch_up(self) -> None:
        store, key = self._queue.store, self._run.key
        while self._told is not self._wanted:
            begun = self._told in _BEGUN
            try:
                task = await (store.mark(key, self._wanted) if begun else store.begin(key, self._run.run_id))
            except (Fenced, TaskNotFound):
                self._fenced = True
                self._fence()
                return
            self._told = task.status
            await self._on_told(task, begun)
