"""The watchdog thread: expects proof of progress of every loop, not a live thread.

A loop of the orchestrator that stands still: it dumps all stacks, retires that orchestrator (its tickets, its term and
its journal writes are void from then on) and starts a fresh one. When that does not help either, or when a loop of the
daemon around it stands still, the process ends and whoever supervises it starts it anew. `WATCHDOG=1` is told to that
supervisor on the same proof only.
"""

from __future__ import annotations

import asyncio
import faulthandler
import logging
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from ccm_orchestrator.engine.heartbeats import Hearts, Pulse
from ccm_orchestrator.engine.orchestrator import Orchestrator
from ccm_orchestrator.errors import StaleTerm

log = logging.getLogger(__name__)

CHECK_S = 0.5
PROOF_LOOKS = 4
"""Of so many looks that find everything well, one is told."""
STEADY_S = 60.0
"""An orchestrator that went on for so long had no part in what ended the one before."""
RESTART_PAUSE_S = 1.0
BIRTH_S = 15.0
MOST_NAMED = 5
MAX_FAILURES = 3
"""Fresh orchestrators in a row for one that ended by an error, before the process gives up."""
MAX_HANGS = 1
"""The same for one that hung: what hangs again is nothing that a fresh orchestrator mends."""


class OrchestratorThread:
    """One orchestrator in a thread and event loop of its own."""

    def __init__(self, build: Callable[[], Orchestrator]) -> None:
        self._build = build
        self._orchestrator: Orchestrator | None = None
        self._unborn = Hearts(BIRTH_S)
        self._unborn.add("start of the orchestrator")
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
    def hearts(self) -> Hearts:
        return self._orchestrator.hearts if self._orchestrator else self._unborn

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
    """Owns the current orchestrator thread and replaces it when one of its loops stands still."""

    def __init__(
        self,
        build: Callable[[], Orchestrator],
        around: Hearts,
        stacks_file: Path,
        proof: Callable[[], None],
        incident: Callable[[str], None],
        give_up: Callable[[str], None],
    ) -> None:
        """`around`: what lives outside of orchestrators. `proof` is called while all is well, `incident` with a
        sentence at each replacement, and `give_up` with one when none would help, after which it looks no more."""
        self._build = build
        self._around = around
        self._stacks_file = stacks_file
        self._proof = proof
        self._incident = incident
        self._give_up = give_up
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)
        self._current = OrchestratorThread(build)
        self._outer, self._inner = Pulse(CHECK_S), Pulse(CHECK_S)
        self._replacements = 0
        self._well_looks = 0
        self._late: Sequence[str] = ()
        self._gave_up = False

    def start(self) -> None:
        self._current.start()
        self._thread.start()

    def stop(self, timeout_s: float = 3.0) -> None:
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
        return self._current.alive and not self._late

    def poke(self) -> None:
        self._current.poke()

    def _watch(self) -> None:
        while not self._stopping.wait(CHECK_S) and not self._gave_up:
            self._look()

    def _look(self) -> None:
        current = self._current
        self._late = late = self._outer.late(self._around)
        if late:
            self._end(f"{_told(late)} of the daemon made no progress; the process ends, to be started anew.")
        elif not current.alive:
            self._replace("The orchestrator ended by an error and was started again; the log says why.", MAX_FAILURES)
        elif late := self._inner.late(current.hearts):
            self._late = late
            self._dump_stacks()
            self._replace(f"{_told(late)} of the orchestrator made no progress, so it was replaced.", MAX_HANGS)
        elif current.hearts.proven and self._around.proven:
            self._is_well()

    def _is_well(self) -> None:
        self._well_looks += 1
        if self._well_looks % PROOF_LOOKS == 0:
            self._proof()
        if self._well_looks * CHECK_S > STEADY_S:
            self._replacements = 0

    def _replace(self, sentence: str, most: int) -> None:
        self._replacements += 1
        if self._replacements > most:
            self._end(f"{sentence} That happens again and again: the process ends, to be started anew.")
            return
        log.error("%s", sentence)
        self._well_looks = 0
        self._current.retire()
        self._incident(sentence)
        self._stopping.wait(RESTART_PAUSE_S * self._replacements)
        if self._stopping.is_set():
            return
        self._current = OrchestratorThread(self._build)
        self._current.start()

    def _end(self, sentence: str) -> None:
        self._gave_up = True
        log.error("%s", sentence)
        self._dump_stacks()
        self._give_up(sentence)

    def _dump_stacks(self) -> None:
        try:
            with self._stacks_file.open("a") as file:
                faulthandler.dump_traceback(file, all_threads=True)
        except OSError as error:
            log.error("stacks could not be written to %s: %s", self._stacks_file, error)


def _told(late: Sequence[str]) -> str:
    names = ", ".join(late[:MOST_NAMED])
    more = f" and {len(late) - MOST_NAMED} more" if len(late) > MOST_NAMED else ""
    return f"The loop{'s' if len(late) > 1 else ''} {names}{more}"
