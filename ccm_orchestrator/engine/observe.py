"""The middle of a run: gather evidence, tell everybody what changed, supervise, until it ends."""

from __future__ import annotations

import logging
import math
from dataclasses import replace
from datetime import timedelta

from ccm_orchestrator.domain.agent import AgentState, Dialog, Evidence, Signal, Source
from ccm_orchestrator.domain.dialogue import PermissionStatus
from ccm_orchestrator.domain.events import EventKind
from ccm_orchestrator.domain.result import FailureKind
from ccm_orchestrator.domain.run import RunState
from ccm_orchestrator.domain.supervision import Stall, stall
from ccm_orchestrator.domain.transitions import is_early
from ccm_orchestrator.engine.conclude import conclude, without_marker
from ccm_orchestrator.engine.ending import Ending
from ccm_orchestrator.engine.failpoints import RUN_BEGUN, RUN_COMPLETE
from ccm_orchestrator.engine.intake import Intake
from ccm_orchestrator.engine.lingering import begins_anew, ending_of_rest, rests, stay_s
from ccm_orchestrator.engine.live import LiveRun
from ccm_orchestrator.engine.messenger import Messenger
from ccm_orchestrator.engine.overruling import Overruling
from ccm_orchestrator.engine.permission_news import close_request
from ccm_orchestrator.engine.saying import Saying
from ccm_orchestrator.engine.sweep import ENDED, UNSETTLED, screen_is_needed
from ccm_orchestrator.errors import TerminalError
from ccm_orchestrator.ports.launching import RunTrace, Ticket, WakeupKind

log = logging.getLogger(__name__)

NUDGE = "Please go on with the task. If it is finished, say so; if something blocks you, say what."
MARKER_REQUEST = (
    "Your last message has no end marker. If the task is finished, answer with a line [DONE]; "
    "if it cannot be finished, answer with a line [ERROR] and the reason."
)
_WITNESS_NEWS = frozenset({WakeupKind.REGISTRY, WakeupKind.STREAM, WakeupKind.EXIT})
LAUNCH_GRACE_S = 15.0
"""How long a launcher may take to say that it started, before its window is called lost."""


class Observer:
    """Follows one run until it ends."""

    def __init__(self, live: LiveRun, intake: Intake) -> None:
        self._live = live
        self._intake = intake
        self._messenger = Messenger(live)
        self._saying = Saying(live)
        self._overruling = Overruling(live)
        self._published = (live.tracker.view.state, live.tracker.view.dialog)
        view = live.tracker.view
        self._waits_since = view.since if view.state is AgentState.WAITING else live.parts.clock.now()
        self._intents_due = True
        self._requests_open = False
        self._unattended = False
        """The agent was started and its launcher does not live: nothing will report its end."""
        self._messages_wait = False

    async def observe(self) -> Ending:
        """Returns how it ended. Raises: StaleTerm."""
        live = self._live
        while True:
            live.check_term()
            await self._look()
            await self._tell()
            ending = await self._supervise()
            if ending is not None:
                return ending
            await live.wait(self._pause_s())

    def _pause_s(self) -> float:
        """News ring the bell; in between only clocks need a look, when they run out."""
        live, limits = self._live, self._live.parts.limits
        if self._doubtful or self._messages_wait:
            return limits.tick_s
        left_s = (live.next_look_at - live.parts.clock.now()).total_seconds()
        if live.tracker.view.state is AgentState.WORKING:
            left_s = min(left_s, self._silence_left_s(), self._time_left_s())
        if rests(live):
            left_s = min(left_s, stay_s(live))
        return max(limits.tick_s, left_s)

    @property
    def _doubtful(self) -> bool:
        view, live = self._live.tracker.view, self._live
        return view.state in UNSETTLED or live.nudged_at is not None or self._unattended

    def _silence_left_s(self) -> float:
        """Until the inactivity rule may have something to say."""
        live, now, view = self._live, self._live.parts.clock.now(), self._live.tracker.view
        if view.tools_running or view.background_work:
            return math.inf
        heard = max(view.last_sign_of_life, live.followed_since)
        return live.profile.inactivity_limit_s - (now - heard).total_seconds()

    def _time_left_s(self) -> float:
        limit_s = self._time_limit_s()
        return math.inf if limit_s is None else limit_s - self._worked_s()

    # --- gathering ---

    async def _look(self) -> None:
        live, now = self._live, self._live.parts.clock.now()
        pending, live.pending = live.pending, set()
        await self._take_readings()
        due = now >= live.next_look_at
        if due or WakeupKind.EXIT in pending:
            await self._look_at_processes()
        if due or pending & _WITNESS_NEWS:
            live.tracker.apply(await live.driver.observe(live.trace()))
        self._intents_due = live.take_poke()
        if (due or self._intents_due or WakeupKind.EXIT in pending) and await live.condemned():
            live.cancel()
        if self._intents_due or self._requests_open:
            await self._look_at_permissions()
        if WakeupKind.SCREEN in pending:
            await self._look_at_screen()
        self._plan_next_look(due)

    def _plan_next_look(self, due: bool) -> None:
        live, now, limits = self._live, self._live.parts.clock.now(), self._live.parts.limits
        soon_s = min(limits.sweep_interval_s, limits.look_interval_s)
        if due:
            live.next_look_at = now + timedelta(seconds=soon_s if self._doubtful else limits.look_interval_s)
        elif self._unattended:
            live.next_look_at = min(live.next_look_at, now + timedelta(seconds=soon_s))

    async def _take_readings(self) -> None:
        live = self._live
        was_told = bool(live.inbox)
        while live.inbox:
            reading = live.inbox[0]
            live.session_id = reading.session_id or live.session_id
            live.transcript_path = reading.transcript_path or live.transcript_path
            if reading.prompt is not None:
                await self._messenger.accepted(reading.prompt)
            live.tracker.apply(reading.evidence)
            for item in reading.evidence:
                await self._overruling.take(item)
                if item.signal is Signal.TURN_ENDED and not item.subagent:
                    live.last_text = item.detail
                    await self._messenger.turn_ended(item.at, item.detail)
            del live.inbox[0]  # not before: what a full disk interrupts is taken in again
        if was_told:
            await self._saying.tell()

    async def _look_at_processes(self) -> None:
        live = self._live
        trace = await live.parts.launchpad.trace(live.run.run_id)
        if trace.agent is not None and live.run.state is not RunState.RUNNING:
            await self._begin(trace)
        if trace.exit is not None and not trace.lock_held:
            await self._exited(trace)
        self._unattended = trace.agent is not None and not trace.lock_held
        live.agent_gone = not trace.lock_held and not trace.agent_alive and self._overdue(trace)
        if live.agent_gone and trace.exit is None:
            live.tracker.apply([Evidence(Source.EXIT_RECORD, Signal.VANISHED, live.parts.clock.now())])

    def _overdue(self, trace: RunTrace) -> bool:
        if trace.ticket is Ticket.REDEEMED or trace.agent is not None:
            return True
        age_s = (self._live.parts.clock.now() - self._live.run.created_at).total_seconds()
        return age_s > LAUNCH_GRACE_S

    async def _begin(self, trace: RunTrace) -> None:
        live, now = self._live, self._live.parts.clock.now()
        live.tracker.apply([Evidence(Source.LAUNCHER, Signal.PROCESS_STARTED, now)])
        await live.standing.begin()
        if live.fenced:
            return
        await live.save(state=RunState.RUNNING, agent=trace.agent, started_at=live.run.started_at or now)
        live.parts.reach(RUN_BEGUN)
        await live.publish(EventKind.TASK_RUNNING, agent=live.run.name, attempt=live.run.attempt)

    async def _exited(self, trace: RunTrace) -> None:
        """What the agent spooled and streamed before it ended is read before its end is believed."""
        live = self._live
        await self._intake.drain(live.run.run_id)
        await self._take_readings()
        live.tracker.apply(await live.driver.observe(live.trace()))
        exit_record = trace.exit
        if exit_record is None:
            return
        done = live.driver.exit_means_done and exit_record.exit_code == 0
        data = {
            "exit_code": exit_record.exit_code,
            "signal": exit_record.signal,
            "reason": exit_record.reason,
            "done": done,
            "terminal_lost": await self._terminal_lost(),
        }
        live.tracker.apply(
            [Evidence(Source.EXIT_RECORD, Signal.EXITED, exit_record.ended_at, exit_record.detail, data)]
        )

    async def _terminal_lost(self) -> bool:
        """The tmux server that the window lived in is not there any more."""
        window = self._live.run.window
        if window is None:
            return False
        health = await self._live.parts.terminal.health()
        return health.server_pid != window.server_pid

    async def _look_at_permissions(self) -> None:
        """An open request is evidence of a dialog; an agent that went on has answered it elsewhere."""
        live = self._live
        requests = await live.parts.journal.permissions(live.run.run_id)
        self._requests_open = bool(requests)
        for request in requests:
            view = live.tracker.view
            if request.request_id not in live.permissions_seen:
                live.permissions_seen.add(request.request_id)
                live.tracker.apply([Evidence(Source.HOOK, Signal.ASKED, request.created_at, request.dialog)])
            elif request.dialog == Dialog.ELICITATION:
                continue  # the agent looks busy while its form is held; the hook, or the expiry, closes the request
            elif view.since > request.created_at and (view.dialog is None or view.state is not AgentState.WAITING):
                parts = live.parts
                await close_request(parts.journal, parts.bus, parts.clock, request, PermissionStatus.ANSWERED_ELSEWHERE)

    async def _look_at_screen(self) -> None:
        live = self._live
        if live.run.window is None or not screen_is_needed(live):
            return
        try:
            screen = await live.parts.terminal.capture(live.run.window)
        except TerminalError as error:
            log.debug("screen of %s: %s", live.run.name, error.message)
            live.output_seen_at = None
            return
        seen = live.driver.read_screen(screen, live.parts.clock.now(), live.run.run_id)
        if seen is not None:
            if is_early(live.tracker.view, seen):
                live.output_seen_at = None  # it may write nothing more
            live.tracker.apply([seen])

    # --- telling ---

    async def _tell(self) -> None:
        live = self._live
        view = live.tracker.view
        if (view.state, view.dialog) == self._published:
            return
        if view.state is not AgentState.WAITING and self._published[0] is AgentState.WAITING:
            live.waited_s += (live.parts.clock.now() - self._waits_since).total_seconds()
        if begins_anew(live, self._published[0]):
            live.waited_s += self._worked_s()
        self._waits_since = live.parts.clock.now()
        await live.save_view()
        evidence = view.evidence
        await live.publish(
            EventKind.AGENT_STATE,
            agent=live.run.name,
            state=view.state,
            dialog=view.dialog,
            source=evidence.source if evidence else None,
            signal=evidence.signal if evidence else None,
        )
        await live.standing.mark(waiting=view.state is AgentState.WAITING)
        self._published = (view.state, view.dialog)

    # --- supervising ---

    async def _supervise(self) -> Ending | None:
        live = self._live
        if live.fenced:
            return Ending.abandoned()
        if live.cancel_requested:
            return self._stopped()
        if live.tracker.view.state in ENDED:
            return await self._concluded()  # what is done is done, whatever the clocks say
        return self._over_limit() or await self._stalled() or await self._concluded()

    def _stopped(self) -> Ending:
        """An agent that only stayed for messages had done its work."""
        live = self._live
        if rests(live) and live.tracker.view.state is AgentState.COMPLETE:
            return conclude(live.tracker.view, str(live.run.cwd), live.last_text, False) or Ending.cancelled()
        return Ending.cancelled()

    def _over_limit(self) -> Ending | None:
        live = self._live
        limit_s = self._time_limit_s()
        if limit_s is not None and self._worked_s() > limit_s:
            message = f"The time limit of {limit_s:g} s is over; raise `time_limit_s` of the task or its profile."
            return Ending.failed(FailureKind.TIME_LIMIT, message, live.last_text)
        budget_usd = live.task.budget_usd or live.profile.budget_usd
        cost_usd = live.tracker.cost_usd
        if budget_usd and cost_usd is not None and cost_usd >= budget_usd:
            message = f"The budget of {budget_usd:.2f} USD is spent ({cost_usd:.2f}); raise it and release the task."
            return Ending.failed(FailureKind.BUDGET, message, live.last_text)
        return None

    def _time_limit_s(self) -> float | None:
        return self._live.task.time_limit_s or self._live.profile.time_limit_s or None

    def _worked_s(self) -> float:
        """Since the start, without the time that people took to answer."""
        live, now = self._live, self._live.parts.clock.now()
        if live.run.started_at is None:
            return 0.0
        view = live.tracker.view
        waiting_s = (now - view.since).total_seconds() if view.state is AgentState.WAITING else 0.0
        return (now - live.run.started_at).total_seconds() - live.waited_s - waiting_s

    async def _stalled(self) -> Ending | None:
        live, now = self._live, self._live.parts.clock.now()
        view = live.tracker.view
        fair = replace(  # silence counts from when somebody listened
            view,
            since=max(view.since, live.followed_since),
            last_sign_of_life=max(view.last_sign_of_life, live.followed_since),
        )
        action = stall(fair, live.profile, now, live.nudged_at)
        if action is Stall.FAIL:
            silent_s = (now - view.last_sign_of_life).total_seconds()
            message = f"The agent gave no sign of life for {silent_s:.0f} s."
            return Ending.failed(FailureKind.INACTIVITY, message, live.last_text)
        if action is Stall.NUDGE:
            live.nudged_at = now
            await self._messenger.submit(NUDGE)
            await live.publish(EventKind.AGENT_NUDGED, agent=live.run.name)
        return None

    async def _concluded(self) -> Ending | None:
        live = self._live
        view = live.tracker.view
        if await self._delivering():
            return None
        resets_at = live.tracker.limit_resets_at
        ending = conclude(view, str(live.run.cwd), live.last_text, live.profile.end_marker, resets_at)
        if ending is None and view.state is AgentState.COMPLETE:
            ending = await self._ask_for_marker()
        ending = ending_of_rest(live, ending)
        if ending is not None:
            await live.save_view()
            live.parts.reach(RUN_COMPLETE)
        return ending

    async def _delivering(self) -> bool:
        """A run does not end over a message that is on its way."""
        view = self._live.tracker.view
        if view.state in (AgentState.ERROR, AgentState.GONE) or self._live.agent_gone:
            return False
        if self._intents_due or self._messages_wait or view.state is AgentState.COMPLETE:
            self._messages_wait = await self._messenger.deliver()
        return self._messages_wait

    async def _ask_for_marker(self) -> Ending | None:
        live = self._live
        if live.marker_asked or not await self._messenger.submit(MARKER_REQUEST):
            return without_marker(live.last_text)
        live.marker_asked = True
        live.tracker.view = replace(live.tracker.view, state=AgentState.WORKING, since=live.parts.clock.now())
        return None
