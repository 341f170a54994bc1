"""A run that this orchestrator follows: everything it knows of it, owned by one coroutine."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from ccm_orchestrator.domain.agent import AgentView
from ccm_orchestrator.domain.events import BusEvent, EventKind
from ccm_orchestrator.domain.profiles import Profile
from ccm_orchestrator.domain.run import Run
from ccm_orchestrator.domain.task import Task, TaskStatus
from ccm_orchestrator.domain.transitions import first_view
from ccm_orchestrator.engine.parts import Parts
from ccm_orchestrator.engine.standing import Standing
from ccm_orchestrator.engine.tracker import Tracker
from ccm_orchestrator.errors import StaleTerm
from ccm_orchestrator.ports.agents import AgentDriver, Reading, SessionTrace
from ccm_orchestrator.ports.launching import WakeupKind


class LiveRun:
    """Only the run's own coroutine writes to it; the rest of the orchestrator calls `wake`, `receive`, `cancel`,
    `fence` and `retire`, which record a wish and ring the bell."""

    def __init__(
        self,
        parts: Parts,
        term: int,
        run: Run,
        task: Task,
        profile: Profile,
        driver: AgentDriver,
        view: AgentView | None = None,
    ) -> None:
        self.parts = parts
        self.term = term
        self.run = run
        self.task = task
        self.profile = profile
        self.driver = driver
        self.queue = parts.queues.named(run.store)
        self.tracker = Tracker(view or first_view(parts.clock.now()))
        self.standing = Standing(self.queue, run, task.status, self._stands, self.fence)
        self.news = asyncio.Event()
        self.pending: set[WakeupKind] = set()
        self.inbox: list[Reading] = []
        self.session_id = run.session_id
        self.transcript_path: str | None = None
        self.last_text = ""
        self.nudged_at: datetime | None = None
        self.marker_asked = False
        self.permissions_seen: set[str] = set()
        self.poked = True
        self.cancel_requested = False
        self.place_wanted = False
        """Another agent is to have its place: it hibernates as soon as it has nothing to do."""
        self.fenced = False
        self.retired = False
        self.agent_gone = False
        """Neither launcher nor agent lives: nothing can be typed any more."""
        self.over = asyncio.Event()
        """Set when nobody follows the run any more."""
        self.followed_since = parts.clock.now()
        self.waited_s = 0.0
        """Seconds spent waiting for people, which no time limit counts."""
        self.next_look_at = parts.clock.now()
        self.saved_view: AgentView | None = None
        """As the journal has it."""
        self.output_seen_at: int | None = None
        """Unix time of the last output that was on the screen when it was read."""

    # --- called by the orchestrator ---

    def wake(self, kind: WakeupKind) -> None:
        self.pending.add(kind)
        self.news.set()

    def poke(self) -> None:
        """Somebody wrote a message or answered a permission."""
        self.poked = True
        self.news.set()

    def receive(self, readings: Sequence[Reading]) -> None:
        self.inbox.extend(readings)
        self.news.set()

    def cancel(self) -> None:
        self.cancel_requested = True
        self.news.set()

    def want_place(self, wanted: bool = True) -> None:
        self.place_wanted = wanted
        self.news.set()

    async def condemned(self) -> bool:
        """A person stopped everything: whatever its end looks like, its task is cancelled."""
        return await self.parts.launchpad.condemned(self.run.run_id)

    def fence(self) -> None:
        """The claim was superseded: the agent is stopped, and the store is told nothing."""
        self.fenced = True
        self.news.set()

    def retire(self) -> None:
        """A newer orchestrator has taken over: this one does nothing more."""
        self.retired = True
        self.news.set()

    def wrote(self, last_output_at: int | None) -> None:
        """Its window was last written to then (Unix time; None: not known): what is new is worth a look.

        Times are whole seconds, so output of this very second may be followed by more.
        """
        if last_output_at is None or last_output_at != self.output_seen_at:
            young = last_output_at is not None and self.parts.clock.now().timestamp() - last_output_at < 2
            self.output_seen_at = None if young else last_output_at
            self.wake(WakeupKind.SCREEN)

    # --- used by the steps of the run ---

    def take_poke(self) -> bool:
        poked, self.poked = self.poked, False
        return poked

    def check_term(self) -> None:
        """Before every act that the outside can see. Raises: StaleTerm."""
        if self.retired:
            raise StaleTerm()

    async def save(self, **changes: object) -> None:
        """Changes fields of the run and commits. Raises: StaleTerm."""
        self.check_term()
        changed = replace(self.run, **changes)  # type: ignore[arg-type]
        await self.parts.journal.save_run(changed, self.term)
        self.run = changed

    async def save_view(self) -> None:
        view = self.tracker.view
        await self.parts.journal.save_views({self.run.run_id: view})
        self.saved_view = view

    async def publish(self, kind: EventKind, **data: object) -> None:
        now = self.parts.clock.now()
        await self.parts.bus.publish(BusEvent(kind, now, self.run.task_id, self.run.run_id, data))

    async def _stands(self, task: Task, had_begun: bool) -> None:
        """The store was told that the agent waits, or works again."""
        self.task = task
        if self.queue.remote:
            await self.parts.outbox.keep_task(self.run.run_id, task)
        if had_begun:
            kind = EventKind.TASK_WAITING if task.status is TaskStatus.WAITING else EventKind.TASK_RUNNING
            await self.publish(kind, agent=self.run.name, dialog=self.tracker.view.dialog)

    def trace(self) -> SessionTrace:
        """What the driver may consult."""
        return SessionTrace(
            run=self.run,
            agent=self.run.agent,
            run_directory=self.parts.launchpad.directory(self.run.run_id),
            session_id=self.session_id,
            transcript_path=self.transcript_path,
        )

    async def wait(self, timeout_s: float) -> None:
        """Until the bell rings, or the timeout."""
        try:
            await asyncio.wait_for(self.news.wait(), timeout_s)
        except TimeoutError:
            return
        self.news.clear()
