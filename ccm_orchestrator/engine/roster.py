"""The runs that this orchestrator follows, each in a coroutine of its own."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterable, Sequence

import structlog.contextvars

from ccm_orchestrator.domain.task import LeaseKey
from ccm_orchestrator.engine.cancelling import cancel_all
from ccm_orchestrator.engine.lingering import yields
from ccm_orchestrator.engine.live import LiveRun
from ccm_orchestrator.errors import StaleTerm
from ccm_orchestrator.ports.agents import AgentDriver, Reading
from ccm_orchestrator.ports.launching import Wakeup, WakeupKind
from ccm_orchestrator.ports.tasks import LeaseAnswer

log = logging.getLogger(__name__)

AGAIN_S = 5.0
Life = Callable[[], Coroutine[None, None, None]]


class Roster:
    """Starts a coroutine per run and passes on what concerns it."""

    def __init__(self, vacated: Callable[[LiveRun], None]) -> None:
        self._vacated = vacated
        self._runs: dict[str, LiveRun] = {}
        self._tasks: set[asyncio.Task[object]] = set()

    def __len__(self) -> int:
        return len(self._runs)

    def add(self, live: LiveRun, life: Life, again: Life) -> None:
        """Follows the run by `life`, and after an unexpected error by `again`, until it has ended."""
        self._runs[live.run.run_id] = live
        task = asyncio.create_task(self._live(live, life, again), name=f"run-{live.run.name}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _live(self, live: LiveRun, life: Life, again: Life) -> None:
        run = live.run
        structlog.contextvars.bind_contextvars(task_id=run.task_id, run_id=run.run_id, agent=run.name)
        try:
            while not await self._attempt(live, life):
                await asyncio.sleep(AGAIN_S)
                life = again
        finally:
            del self._runs[live.run.run_id]
            live.over.set()
            self._vacated(live)

    async def _attempt(self, live: LiveRun, life: Life) -> bool:
        """False: something unforeseen. The agent may live, so its run and its lease are kept, and it is tried again."""
        try:
            await life()
        except StaleTerm:
            log.info("agent %s belongs to a newer orchestrator now", live.run.name)
        except Exception:  # the one guard of a run: a bug in one must not end the others
            log.exception("following agent %s failed; it is tried again in %g s", live.run.name, AGAIN_S)
            return False
        return True

    def of_task(self, task_id: str) -> LiveRun | None:
        return next((live for live in self._runs.values() if live.run.task_id == task_id), None)

    def get(self, run_id: str) -> LiveRun | None:
        return self._runs.get(run_id)

    def runs(self) -> list[LiveRun]:
        return list(self._runs.values())

    def resting(self) -> list[LiveRun]:
        """Those that would give their places to others, the longest resting first."""
        return sorted(filter(yields, self._runs.values()), key=lambda live: live.tracker.view.since)

    def ids(self) -> list[str]:
        return list(self._runs)

    def keys(self, store: str) -> Iterable[LeaseKey]:
        return [live.run.key for live in self._runs.values() if live.run.store == store]

    def reader(self, run_id: str) -> tuple[AgentDriver, str] | None:
        live = self._runs.get(run_id)
        return (live.driver, live.run.task_id) if live else None

    def receive(self, run_id: str, readings: Sequence[Reading]) -> None:
        live = self._runs.get(run_id)
        if live is not None:
            live.receive(readings)

    def wake(self, wakeup: Wakeup) -> None:
        """A wake-up without a run id concerns whoever its file names, or everybody."""
        for live in self._concerned(wakeup):
            live.wake(wakeup.kind)

    def poke_all(self) -> None:
        for live in self._runs.values():
            live.poke()

    def answer(self, store: str, answers: dict[str, LeaseAnswer]) -> None:
        """What the store said of our leases."""
        for live in [live for live in self._runs.values() if live.run.store == store]:
            answer = answers.get(live.run.task_id)
            if answer is LeaseAnswer.FENCED:
                live.fence()
            elif answer is LeaseAnswer.CANCEL:
                live.cancel()

    def retire(self) -> None:
        for live in self._runs.values():
            live.retire()

    async def stop(self) -> None:
        """Ends the coroutines; the agents live on."""
        await cancel_all(list(self._tasks))

    def _concerned(self, wakeup: Wakeup) -> list[LiveRun]:
        if wakeup.run_id is not None:
            live = self._runs.get(wakeup.run_id)
            return [live] if live else []
        if wakeup.kind is WakeupKind.REGISTRY and wakeup.name is not None:
            pid = wakeup.name.partition(".")[0]
            return [live for live in self._runs.values() if live.run.agent and str(live.run.agent.pid) == pid]
        return list(self._runs.values())
