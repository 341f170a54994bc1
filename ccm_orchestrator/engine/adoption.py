"""What an earlier daemon left behind: every open run is adopted, settled, or given back, before anything is claimed."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace

from ccm_orchestrator.domain.agent import AgentState, AgentView
from ccm_orchestrator.domain.events import BusEvent, EventKind
from ccm_orchestrator.domain.profiles import Profile
from ccm_orchestrator.domain.result import FailureKind
from ccm_orchestrator.domain.run import Run, RunState
from ccm_orchestrator.domain.supervision import POISON_DEATHS, POISON_WINDOW_S, Adoption, reconcile
from ccm_orchestrator.domain.task import Task
from ccm_orchestrator.domain.transitions import first_view
from ccm_orchestrator.engine.ending import Ending
from ccm_orchestrator.engine.heartbeats import Beat, no_beat
from ccm_orchestrator.engine.intake import Intake
from ccm_orchestrator.engine.leases import Leases
from ccm_orchestrator.engine.lingering import rests
from ccm_orchestrator.engine.live import LiveRun
from ccm_orchestrator.engine.parting import close_unfollowed
from ccm_orchestrator.engine.parts import Parts
from ccm_orchestrator.engine.roster import Roster
from ccm_orchestrator.engine.run import take_over
from ccm_orchestrator.engine.settle import settle
from ccm_orchestrator.errors import TaskNotFound, TerminalError
from ccm_orchestrator.ports.journal import RunQuery
from ccm_orchestrator.ports.launching import RunTrace, Ticket, WakeupKind
from ccm_orchestrator.ports.tasks import LeaseAnswer
from ccm_orchestrator.ports.terminal import WindowInfo

log = logging.getLogger(__name__)

ALL_RUNS = 100_000
LAST_WORDS = 1_000
"""Events that are searched for the earlier daemon's goodbye."""
SIGNS_OF_LIFE = frozenset({EventKind.DAEMON_STARTED, EventKind.AGENT_ADOPTED, EventKind.DAEMON_STOPPED})


@dataclass(frozen=True, slots=True)
class Adopted:
    """What the start-up found, by agent name."""

    decisions: dict[str, Adoption]


async def adopt_all(
    parts: Parts, term: int, roster: Roster, intake: Intake, leases: Mapping[str, Leases], beat: Beat = no_beat
) -> Adopted:
    """Idempotent; `beat` is called before each run. Raises: StoreUnavailable, StaleTerm."""
    windows = await _windows(parts)
    died = not await _stopped_in_order(parts)
    views = {run.run_id: run for run in await parts.journal.runs(RunQuery(open_only=True, limit=ALL_RUNS))}
    known = await parts.journal.views(list(views))
    decisions: dict[str, Adoption] = {}
    for run in views.values():
        beat()
        if roster.get(run.run_id) is not None:
            continue
        if run.store not in leases:
            await _leave_alone(parts, run)
            continue
        view = known.get(run.run_id)
        task = await _task_of(parts, run)
        if task is None or run.driver not in parts.drivers:
            await _forget(parts, term, run, task is None)
            continue
        own = leases[run.store]
        decisions[run.name] = await _adopt(parts, term, run, task, view, windows, roster, intake, own, died)
    await _report_strays(parts, windows or [], frozenset(views))
    return Adopted(decisions)


async def _windows(parts: Parts) -> list[WindowInfo] | None:
    """None: tmux does not answer, so nothing may be concluded from a missing window."""
    try:
        return list(await parts.terminal.windows())
    except TerminalError as error:
        log.warning("adopting without windows: %s", error.message)
        return None


async def _stopped_in_order(parts: Parts) -> bool:
    """The earlier daemon said goodbye, and nothing worked since: incidents and requests of before this one's work, even
    those of starts that got no further, are no sign of a death."""
    last = await parts.bus.log.last_seq()
    kinds = [stored.event.kind for stored in await parts.bus.log.read(last - LAST_WORDS, LAST_WORDS)]
    return next((kind for kind in reversed(kinds) if kind in SIGNS_OF_LIFE), None) is EventKind.DAEMON_STOPPED


async def _adopt(
    parts: Parts,
    term: int,
    run: Run,
    task: Task,
    view: AgentView | None,
    windows: list[WindowInfo] | None,
    roster: Roster,
    intake: Intake,
    leases: Leases,
    died: bool,
) -> Adoption:
    trace = await _trace(parts, run)
    decision = reconcile(
        lock_held=trace.lock_held,
        agent_alive=trace.agent_alive,
        exit_recorded=trace.exit is not None,
        started=trace.ticket is Ticket.REDEEMED or trace.agent is not None,
        terminal_answers=windows is not None,
    )
    live = await _live(parts, term, run, task, view, windows or [], died)
    ending = await _ending(live, decision, leases)
    parts.watch.add_run(run.run_id)
    intake.mark(run.run_id)
    if ending is None:
        roster.add(live, lambda: take_over(live, intake, leases), lambda: take_over(live, intake, leases))
    else:
        roster.add(live, lambda: settle(live, ending, intake, leases), lambda: settle(live, ending, intake, leases))
    live.wake(WakeupKind.EXIT)
    log.info("agent %s of task %s: %s", run.name, run.task_id, decision)
    await live.publish(EventKind.AGENT_ADOPTED, agent=run.name, decision=decision)
    return decision


async def _leave_alone(parts: Parts, run: Run) -> None:
    """The store that its task came from is not configured at the moment: nothing is concluded from that."""
    sentence = f"Agent {run.name} is not followed: the task store `{run.store}` of its task is not configured."
    log.error("%s", sentence)
    incident = BusEvent(
        EventKind.DAEMON_INCIDENT, parts.clock.now(), run.task_id, run.run_id, data={"message": sentence}
    )
    await parts.bus.publish(incident)


async def _task_of(parts: Parts, run: Run) -> Task | None:
    """None: it was deleted by hand. A store that is somewhere else is not asked: it may be away."""
    if parts.queues.named(run.store).remote:
        return await parts.outbox.kept_task(run.run_id)
    try:
        return await parts.queues.local.get(run.task_id)
    except TaskNotFound:
        return None


async def _forget(parts: Parts, term: int, run: Run, without_task: bool) -> None:
    """Its task was deleted by hand, or its driver taken away: the agent is ended, and the run with it."""
    gone = "its task does not exist any more"
    sentence = gone if without_task else f"the driver `{run.driver}` is not configured any more"
    await parts.launchpad.revoke(run.run_id)
    await parts.launchpad.kill(run.run_id)
    await close_unfollowed(parts, run)
    await parts.journal.save_run(
        replace(run, term=term, state=RunState.ENDED, ended_at=parts.clock.now(), ending=sentence), term
    )
    log.warning("agent %s was ended: %s", run.name, sentence)


async def _trace(parts: Parts, run: Run) -> RunTrace:
    """An unredeemed ticket is taken back first: whatever has not started by now never will."""
    await parts.launchpad.revoke(run.run_id)
    return await parts.launchpad.trace(run.run_id)


async def _live(
    parts: Parts, term: int, run: Run, task: Task, view: AgentView | None, windows: list[WindowInfo], died: bool
) -> LiveRun:
    profile = parts.profiles.get(run.profile) or Profile(run.profile, driver=run.driver, mode=run.mode)
    start = view or first_view(parts.clock.now(), AgentState.UNKNOWN)
    live = LiveRun(parts, term, run, task, profile, parts.drivers[run.driver], start)
    registry = live.driver.registry_directory()
    if registry is not None:
        parts.watch.add_registry(registry)
    window = next((info.ref for info in windows if info.run_id == run.run_id), run.window)
    deaths = run.daemon_deaths + (1 if died and _died_at_start(parts, run) else 0)
    await live.save(term=term, window=window, daemon_deaths=deaths)
    return live


def _died_at_start(parts: Parts, run: Run) -> bool:
    return (parts.clock.now() - run.created_at).total_seconds() < POISON_WINDOW_S


async def _ending(live: LiveRun, decision: Adoption, leases: Leases) -> Ending | None:
    """None: go on observing."""
    if live.queue.remote:
        # Its lease is confirmed as soon as the store answers.
        return await _told(live) or await _stopped(live) or _judged(live, decision)
    if not await _confirm(live, leases):
        return Ending.abandoned() if live.task.run_id != live.run.run_id else _recorded(live)
    return await _stopped(live) or _judged(live, decision)


async def _stopped(live: LiveRun) -> Ending | None:
    return Ending.cancelled() if await live.condemned() else None


async def _told(live: LiveRun) -> Ending | None:
    """The earlier daemon noted how it ended, and died before it had put the run away."""
    deeds = await live.parts.outbox.deeds(live.queue.name, ALL_RUNS)
    return next((Ending(None, recorded=deed.result.outcome) for deed in deeds if deed.key == live.run.key), None)


def _judged(live: LiveRun, decision: Adoption) -> Ending | None:
    ended_by_itself = decision is Adoption.SETTLE  # its record says how; only settling it can be what kills
    deaths = POISON_DEATHS * 2 if ended_by_itself else POISON_DEATHS
    if live.run.daemon_deaths >= deaths and _died_at_start(live.parts, live.run):
        return _poisoned()
    if decision is Adoption.START_AGAIN:
        return Ending.failed(FailureKind.SPAWN, "The daemon died before the agent was started.")
    if decision is Adoption.LOST and not rests(live):
        return Ending.failed(FailureKind.LOST, "The agent vanished while the daemon was away.")
    return None


def _recorded(live: LiveRun) -> Ending:
    """The earlier daemon died after the store knew the outcome: nothing is left but to put the run away."""
    result = live.task.result
    return Ending(None, recorded=result.outcome if result else None)


def _poisoned() -> Ending:
    message = "The daemon died three times within a minute of starting this task."
    failed = Ending.failed(FailureKind.LOST, message)
    return Ending(failed.outcome, failure=failed.failure, poison=True)


async def _confirm(live: LiveRun, leases: Leases) -> bool:
    """False when the claim was superseded while this system was away."""
    parts, key = live.parts, live.run.key
    asked_at_s = parts.clock.uptime_s()
    try:
        answer = await live.queue.store.adopt(key, parts.system_id, parts.boot_id, parts.limits.lease_s)
    except TaskNotFound:
        return False
    if answer is LeaseAnswer.FENCED:
        return False
    leases.grant(key, asked_at_s)
    live.task = await live.queue.store.get(key.task_id)  # adopting may have moved it
    if answer is LeaseAnswer.CANCEL:
        live.cancel()
    return True


async def _report_strays(parts: Parts, windows: list[WindowInfo], open_runs: frozenset[str]) -> None:
    """Windows of ours that no open run owns are told, never touched; windows without our mark are not even told."""
    for info in windows:
        if info.run_id is not None and info.run_id not in open_runs:
            log.warning("window %s belongs to run %s, which is not open", info.name, info.run_id)
            event = BusEvent(EventKind.AGENT_STRAY, parts.clock.now(), None, info.run_id, {"window": info.name})
            await parts.bus.publish(event)
