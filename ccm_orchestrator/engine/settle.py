"""The end of a run: stop the agent, collect what it did, tell the store once, and put the run away."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

from ccm_orchestrator.domain.agent import Signal
from ccm_orchestrator.domain.events import BusEvent, EventKind
from ccm_orchestrator.domain.result import Failure, FailureKind, Outcome, TaskResult
from ccm_orchestrator.domain.run import RunState
from ccm_orchestrator.domain.summary import summarise
from ccm_orchestrator.domain.supervision import AfterFailure, NextStep, after_failure
from ccm_orchestrator.domain.task import Hold, HoldReason
from ccm_orchestrator.engine.ending import ENDED, GIVEN_BACK, Ending, figures
from ccm_orchestrator.engine.failpoints import FINISH_ENDED, FINISH_RECORDED, FINISH_STOPPED
from ccm_orchestrator.engine.heartbeats import Beat, no_beat
from ccm_orchestrator.engine.intake import Intake
from ccm_orchestrator.engine.leases import Leases
from ccm_orchestrator.engine.lingering import nothing_left
from ccm_orchestrator.engine.live import LiveRun
from ccm_orchestrator.engine.parting import close_dialogue, close_typed
from ccm_orchestrator.engine.stopping import stop_agent
from ccm_orchestrator.errors import Fenced, StoreUnavailable, TerminalError
from ccm_orchestrator.ports.agents import Report
from ccm_orchestrator.ports.outbox import Deed
from ccm_orchestrator.ports.tasks import FinishAnswer, LeaseAnswer, Release, ReleaseKind

log = logging.getLogger(__name__)

STORE_RETRY_S = 2.0
EVENT_PAGE = 1000
REST_S = 2.0
REST_LOOK_S = 0.05
_RELEASE = {
    NextStep.RETRY: ReleaseKind.ATTEMPT_FAILED,
    NextStep.RETRY_INFRASTRUCTURE: ReleaseKind.INFRASTRUCTURE,
    NextStep.HOLD: ReleaseKind.VOLUNTARY,
}
T = TypeVar("T")


async def settle(live: LiveRun, ending: Ending, intake: Intake, leases: Leases) -> None:
    """Returns when the run is `ended` in the journal and the store knows the outcome. Raises: StaleTerm."""
    live.check_term()
    if ending.outcome is Outcome.SUCCEEDED:
        await rest(live)
    stopped = await stop_agent(live, interrupt_first=ending.outcome is Outcome.CANCELLED)
    live.parts.reach(FINISH_STOPPED)
    await patiently(lambda: intake.drain(live.run.run_id))
    result = await patiently(lambda: collect(live, ending))
    await patiently(lambda: close_typed(live))
    await live.standing.stop()
    if ending.outcome is not None and live.queue.remote:
        await _note_deed(live, ending, result, stopped)
        leases.deed_noted.set()
    elif ending.outcome is not None:
        await _tell_store(live, ending, result, leases, stopped)
    live.parts.reach(FINISH_RECORDED)
    await put_away(live, ending)
    live.parts.reach(FINISH_ENDED)


async def rest(live: LiveRun) -> None:
    """An agent that says it is done still writes its transcript: it is ended once its registry says idle.

    Two seconds at most; SIGTERM right after `Stop` cost about one run in eight its last message and tokens.
    One that has ended rests already.
    """
    deadline_s = live.parts.clock.uptime_s() + REST_S
    while live.parts.clock.uptime_s() < deadline_s and (await live.parts.launchpad.trace(live.run.run_id)).agent_alive:
        seen = await live.driver.observe(live.trace())
        if not any(item.signal in (Signal.BUSY, Signal.BLOCKED) for item in seen):
            return
        live.check_term()
        await live.wait(REST_LOOK_S)


async def patiently(act: Callable[[], Awaitable[T]], beat: Beat = no_beat) -> T:
    """Repeats while the store is away: an outcome is never dropped because a disk is full or a server down.

    Each try is a `beat`: to wait for an answer is progress, to wait in vain for "unavailable" is none.
    """
    while True:
        beat()
        try:
            return await act()
        except StoreUnavailable as error:
            log.warning("waiting for the store: %s", error.message)
            await asyncio.sleep(STORE_RETRY_S)


async def collect(live: LiveRun, ending: Ending) -> TaskResult:
    """The result as it will be stored, from the agent's own events and the truthful source of its figures."""
    parts, run = live.parts, live.run
    events = await events_of(live)
    records = await parts.bus.log.hook_records(run.run_id)
    readings = await asyncio.to_thread(lambda: [live.driver.read_hook(record, run.task_id) for record in records])
    for reading in readings:
        live.session_id = reading.session_id or live.session_id
        live.transcript_path = reading.transcript_path or live.transcript_path
    report: Report = await live.driver.report(live.trace(), readings)
    started = run.started_at or run.created_at
    change = None
    if run.base_commit:
        change = await parts.workspace.change_since(run.cwd, run.base_commit, run.created_at)
    return TaskResult(
        outcome=ending.outcome or Outcome.FAILED,
        text=ending.text or report.text,
        failure=ending.failure,
        summary=summarise(events),
        usage=report.usage,
        git=change,
        duration_s=round((parts.clock.now() - started).total_seconds(), 3),
        session_id=report.session_id or live.session_id,
        transcript_path=report.transcript_path or live.transcript_path,
        run_id=run.run_id,
        attempt=run.attempt,
    )


async def events_of(live: LiveRun) -> list[BusEvent]:
    """All that was told of the run so far, oldest first."""
    events: list[BusEvent] = []
    cursor = 0
    while page := await live.parts.bus.log.read(cursor, EVENT_PAGE, run_id=live.run.run_id):
        events += [stored.event for stored in page]
        cursor = page[-1].seq
    return events


async def _note_deed(live: LiveRun, ending: Ending, result: TaskResult, stopped: bool) -> None:
    """For a store that is somewhere else: once this is committed, the run is over, and the courier tells it."""
    await patiently(live.save)
    after = await patiently(lambda: _after(live, ending, stopped))
    final = after is None or after.step is NextStep.FAIL
    release = None if after is None or final else _as_release(after, ending)
    run = live.run
    deed = Deed(live.queue.name, run.run_id, run.task_id, run.fence, result, release, live.parts.clock.now())
    await patiently(lambda: live.parts.outbox.put(deed))


async def _tell_store(live: LiveRun, ending: Ending, result: TaskResult, leases: Leases, stopped: bool) -> None:
    await patiently(live.save)  # the term is checked once more, right before the outcome leaves this process
    if await leases.ensure(live.run.key) is LeaseAnswer.FENCED:
        await patiently(lambda: live.queue.store.finish(live.run.key, result))  # refused, and kept as evidence
        await patiently(lambda: live.publish(EventKind.TASK_FENCED, run_id=live.run.run_id))
        return
    after = await patiently(lambda: _after(live, ending, stopped))
    try:
        if after is None or after.step is NextStep.FAIL:
            await _finish(live, result)
        else:
            await _release(live, after, ending, result)
    except Fenced:
        await patiently(lambda: live.publish(EventKind.TASK_FENCED, run_id=live.run.run_id))


async def _after(live: LiveRun, ending: Ending, stopped: bool) -> AfterFailure | None:
    """What becomes of a failed attempt; None: the outcome is final as it is."""
    if not stopped:
        detail = "Some processes of the agent could not be ended; end them, then release the task."
        return AfterFailure(NextStep.HOLD, hold=Hold(HoldReason.SETUP, detail))
    if ending.poison:
        detail = "The daemon died three times within a minute of starting this task; look at its log, then release it."
        return AfterFailure(NextStep.HOLD, hold=Hold(HoldReason.POISON, detail))
    if ending.hold is not None:
        return AfterFailure(NextStep.HOLD, hold=ending.hold)
    if ending.failure is None:
        return None
    if await nothing_left(live):
        return AfterFailure(NextStep.FAIL)
    parts = live.parts
    return after_failure(live.task, ending.failure, parts.retry, parts.clock.now(), parts.chance())


async def _finish(live: LiveRun, result: TaskResult) -> None:
    answer = await patiently(lambda: live.queue.store.finish(live.run.key, result))
    if answer is FinishAnswer.FENCED:
        raise Fenced()
    task = await patiently(lambda: live.queue.store.get(live.run.task_id))
    outcome = task.result.outcome if task.result else result.outcome
    failure = result.failure.message if result.failure else ""
    data = {"agent": live.run.name, "attempt": result.attempt, "reason": failure} | figures(result)
    await patiently(lambda: live.publish(ENDED[outcome], **data))


async def _release(live: LiveRun, after: AfterFailure, ending: Ending, result: TaskResult) -> None:
    release = _as_release(after, ending)
    task = await patiently(lambda: live.queue.store.release(live.run.key, release))
    data = figures(result) | {
        "reason": ending.sentence,
        "run_after": after.run_after.isoformat() if after.run_after else None,
        "hold_reason": after.hold.reason if after.hold else None,
    }
    what = GIVEN_BACK.get(task.status, EventKind.TASK_QUEUED)
    await patiently(lambda: live.publish(what, agent=live.run.name, **data))


def _as_release(after: AfterFailure, ending: Ending) -> Release:
    return Release(_RELEASE[after.step], ending.sentence, after.run_after, after.hold)


async def put_away(live: LiveRun, ending: Ending) -> None:
    """The window is closed and the run is `ended`; its directory stays until the sweep."""
    await patiently(lambda: close_dialogue(live))
    kind: FailureKind | None = ending.failure.kind if ending.failure else None
    failure: Failure | None = ending.failure
    await patiently(
        lambda: live.save(
            state=RunState.ENDED,
            outcome=ending.outcome or ending.recorded,
            ending=failure.message if failure else ending.sentence,
            failure_kind=kind,
            ended_at=live.parts.clock.now(),
        )
    )
    if live.queue.remote:
        await patiently(lambda: live.parts.outbox.forget_task(live.run.run_id))
    live.parts.watch.forget_run(live.run.run_id)
    if live.run.window is None:
        return
    try:
        await live.parts.terminal.close_window(live.run.window)
    except TerminalError as error:
        log.warning("window of %s stays open: %s", live.run.name, error.message)
