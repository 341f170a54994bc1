"""The watchdog thread: expects proof of progress, not a live thread.

Without it for `timeout_s` it dumps all stacks, retires the hung orchestrator (its tickets, its term and its journal
writes are void from then on) and starts a fresh one. When that does not help either, the process ends and whoever
supervises it starts it anew. `WATCHDOG=1` is told to that supervisor on the same proof only.
"""

from __future__ import annotations

import asyncio
import faulthandler
import logging
import threading
from collections.abc import Callable
from pathlib import Path

from ccm_orchestrator.engine.orchestrator import Orchestrator
from ccm_orchestrator.errors import StaleTerm

log = logging.getLogger(__name__)

CHECK_S = 0.5
RESTART_PAUSE_S = 1.0
MAX_REPLACEMENTS = 3
"""Fresh orchestrators in a row without a beat of progress between them before the process gives up."""


class OrchestratorThread:
    """One orchestrator in a thread and event loop of its own."""

    def __init__(self, build: Callable[[], Orchestrator]) -> None:
        self._build = build
        self._orchestrator: Orchestrator | None = None
        self._thread = threading.Thread(target=self._run, name="orchestrator", daemon=True)
        self.failure: BaseException | None = None

    def start(self) -> None:
        self._thread.start()

    def _run(self) -> None:
        try:
            asyncio.run(self._main())
        except StaleTerm:
            log.info("this orchestrator was superseded and ends")
        except Exception as error:  # whatever it was, the watchdog starts a fresh orchestrator and the log says why
            self.failure = error
            log.exception("the orchestrator failed")

    async def _main(self) -> None:
        self._orchestrator = self._build()
        await self._orchestrator.run()

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    @property
    def ready(self) -> bool:
        return self._orchestrator is not None and self._orchestrator.ready

    @property
    def progress(self) -> tuple[int, int]:
        return self._orchestrator.progress if self._orchestrator else (0, 0)

    def poke(self) -> None:
        if self._orchestrator is not None:
            self._orchestrator.poke()

    def retire(self) -> None:
        if self._orchestrator is not None:
            self._orchestrator.retire()

    def stop(self, timeout_s: float) -> bool:
        """False when it did not end in time; as a daemon thread it ends with the process."""
        if self._orchestrator is not None:
            self._orchestrator.stop()
        if self._thread.ident is not None:
            self._thread.join(timeout_s)
        return not self._thread.is_alive()


class Watchdog:
    """Owns the current orchestrator thread and replaces it when it makes no progress."""

    def __init__(
        self,
        build: Callable[[], Orchestrator],
        timeout_s: float,
        stacks_file: Path,
        proof: Callable[[], None],
        incident: Callable[[str], None],
        give_up: Callable[[str], None],
    ) -> None:
        """`proof` is called on progress, `incident` with a sentence at each replacement, `give_up` with
        the last one when none helps."""
        self._build = build
        self._timeout_s = timeout_s
        self._stacks_file = stacks_file
        self._proof = proof
        self._incident = incident
        self._give_up = give_up
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)
        self._current = OrchestratorThread(build)
        self._replacements = 0

    def start(self) -> None:
        self._current.start()
        self._thread.start()

    def stop(self, timeout_s: float = 4.0) -> None:
        """Ends the watch, then the orchestrator; agents live on."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(timeout_s)
        self._current.stop(timeout_s)

    @property
    def ready(self) -> bool:
        return self._current.ready

    @property
    def healthy(self) -> bool:
        return self._current.alive and self._replacements == 0

    def poke(self) -> None:
        self._current.poke()

    def _watch(self) -> None:
        """Checks are counted, not seconds: a suspended machine misses no progress that it could have made."""
        seen, idle_checks = self._current.progress, 0
        while not self._stopping.wait(CHECK_S):
            progress = self._current.progress
            idle_checks += 1
            if all(new > old for new, old in zip(progress, seen, strict=True)):
                seen, idle_checks, self._replacements = progress, 0, 0
                self._proof()
            elif not self._current.alive:
                self._replace("The orchestrator ended by an error and was started again; the log says why.")
                seen, idle_checks = self._current.progress, 0
            elif idle_checks * CHECK_S > self._timeout_s:
                self._dump_stacks()
                self._replace(f"The orchestrator made no progress for {self._timeout_s:g} s and was replaced.")
                seen, idle_checks = self._current.progress, 0

    def _replace(self, sentence: str) -> None:
        self._replacements += 1
        log.error("%s", sentence)
        if self._replacements > MAX_REPLACEMENTS:
            self._give_up(sentence)
            return
        self._current.retire()
        self._incident(sentence)
        self._stopping.wait(RESTART_PAUSE_S * self._replacements)
        self._current = OrchestratorThread(self._build)
        self._current.start()

    def _dump_stacks(self) -> None:
        try:
            with self._stacks_file.open("a") as file:
                faulthandler.dump_traceback(file, all_threads=True)
        except OSError as error:
            log.error("stacks could not be written to %s: %s", self._stacks_file, error)
