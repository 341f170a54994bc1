"""One run from its claim to its outcome, among fakes."""

from __future__ import annotations

import signal
from datetime import datetime, timedelta

import pytest

from ccm_orchestrator.domain.agent import Evidence, Signal, Source
from ccm_orchestrator.domain.dialogue import PermissionRequest, PermissionStatus
from ccm_orchestrator.domain.events import EventKind
from ccm_orchestrator.domain.result import FailureKind, Outcome
from ccm_orchestrator.domain.run import Run, RunState
from ccm_orchestrator.domain.task import HoldReason, TaskStatus
from ccm_orchestrator.engine.observe import MARKER_REQUEST
from ccm_orchestrator.errors import NotLoggedIn
from ccm_orchestrator.ports.launching import Ticket
from tests.unit.engine.house import House


async def test_a_task_goes_from_its_claim_to_its_result(home: House) -> None:
    await home.start()
    run = await home.running(prompt="Fix it.")
    assert home.driver.orders[0].prompt == "Fix it."
    assert (run.state, run.fence, run.attempt) == (RunState.RUNNING, 1, 1)
    home.clock.advance(12)
    home.says(run, "turn_ended", "All green.")
    task = await home.until_status(run.task_id, TaskStatus.SUCCEEDED)
    assert task.result is not None
    assert (task.result.outcome, task.result.text, task.result.duration_s) == (Outcome.SUCCEEDED, "All green.", 12)
    assert (task.lease, task.run_id) == (None, run.run_id)
    ended = await home.until_ended(run)
    assert (ended.outcome, ended.failure_kind) == (Outcome.SUCCEEDED, None)
    assert home.agent(run).received == [signal.SIGTERM]
    await home.until_windows(0)
    told = [kind for kind in await home.kinds(run.task_id) if kind.value.startswith("task.")]
    assert told == [EventKind.TASK_CLAIMED, EventKind.TASK_RUNNING, EventKind.TASK_SUCCEEDED]


async def test_a_failed_attempt_is_repeated_afresh_after_its_pause_and_then_fails_for_good(home: House) -> None:
    await home.start()
    run = await home.running(max_attempts=2)
    home.says(run, "turn_failed", "The model is broken.", failure_kind="api_error")
    task = await home.until_status(run.task_id, TaskStatus.QUEUED)
    assert task.run_after == home.clock.now() + timedelta(seconds=5)
    await home.settled()
    assert len(await home.runs(run.task_id)) == 1, "not before its time"
    home.clock.advance(5)
    await home.until_status(run.task_id, TaskStatus.RUNNING)
    again = await home.run_of(run.task_id)
    assert (again.attempt, again.fence, again.resumed) == (2, 2, False)
    assert again.session_id != run.session_id
    home.says(again, "turn_failed", "Still broken.", failure_kind="api_error")
    task = await home.until_status(run.task_id, TaskStatus.FAILED)
    assert task.result is not None and task.result.failure is not None
    assert (task.result.failure.kind, task.result.failure.message) == (FailureKind.API_ERROR, "Still broken.")


async def test_what_the_machine_lost_is_resumed_and_consumes_no_attempt(home: House) -> None:
    await home.start()
    run = await home.running(max_attempts=1, prompt="Fix it.")
    home.pad.vanish(run.run_id)
    task = await home.until_status(run.task_id, TaskStatus.QUEUED)
    assert (task.attempt, task.infra_attempt) == (0, 1)
    home.clock.advance(30)
    await home.until_status(run.task_id, TaskStatus.RUNNING)
    again = await home.run_of(run.task_id)
    assert (again.resumed, again.session_id, again.attempt) == (True, run.session_id, 1)
    assert home.driver.orders[-1].prompt.endswith("Fix it.")
    assert home.driver.orders[-1].prompt != "Fix it."


async def test_a_task_that_is_cancelled_while_its_agent_is_being_started_never_gets_one(home: House) -> None:
    home.launches = False
    daemon = await home.start()
    task_id = await home.add()
    await home.until(lambda: home.terminal.opened, "a window")
    await home.store.cancel(task_id)
    daemon.orchestrator.poke()
    await home.until_status(task_id, TaskStatus.CANCELLED)
    run = await home.until_ended(await home.run_of(task_id))
    assert home.agent(run).ticket is Ticket.REVOKED
    assert home.pad.start(run.run_id) is False, "a launcher that comes late starts nothing"


async def test_a_running_task_is_cancelled_by_an_interrupt_first(home: House) -> None:
    daemon = await home.start()
    run = await home.running()
    await home.store.cancel(run.task_id)
    daemon.orchestrator.poke()
    task = await home.until_status(run.task_id, TaskStatus.CANCELLED)
    assert home.agent(run).received == [signal.SIGINT]
    assert task.result is not None and task.result.outcome is Outcome.CANCELLED


async def test_an_agent_that_ignores_interrupt_and_sigterm_is_killed(home: House) -> None:
    daemon = await home.start()
    run = await home.running()
    home.agent(run).deaf_to |= {signal.SIGINT, signal.SIGTERM}
    await home.store.cancel(run.task_id)
    daemon.orchestrator.poke()
    await home.until(lambda: signal.SIGINT in home.agent(run).received, "an interrupt")
    home.clock.advance(30)
    await home.until(lambda: signal.SIGTERM in home.agent(run).received, "a termination")
    home.clock.advance(10)
    await home.until_status(run.task_id, TaskStatus.CANCELLED)
    assert home.agent(run).received == [signal.SIGINT, signal.SIGTERM, signal.SIGKILL]


async def test_a_fenced_run_is_stopped_and_says_nothing(home: House) -> None:
    await home.start()
    run = await home.running()
    home.store.take_over(run.task_id)
    ended = await home.until_ended(run)
    assert ended.outcome is None
    assert home.agent(run).received == [signal.SIGTERM]
    task = await home.store.get(run.task_id)
    assert (task.status, task.fence, task.result) == (TaskStatus.QUEUED, 2, None)
    assert await home.store.late_results(run.task_id) == []


async def test_an_outcome_that_comes_too_late_is_refused_and_kept(home: House) -> None:
    home.store.away.add("finish")
    await home.start()
    run = await home.running()
    home.says(run, "turn_ended", "Done, but who asks?")
    await home.until(lambda: home.store.refused, "a try to finish")
    home.store.take_over(run.task_id)
    home.store.away.clear()
    await home.until_ended(run)
    task = await home.store.get(run.task_id)
    assert (task.status, task.result) == (TaskStatus.QUEUED, None)
    ((fence, late),) = await home.store.late_results(run.task_id)
    assert (fence, late.text) == (1, "Done, but who asks?")
    assert EventKind.TASK_FENCED in await home.kinds(run.task_id)
    assert EventKind.TASK_SUCCEEDED not in await home.kinds(run.task_id)


@pytest.mark.parametrize(
    ("operation", "told", "becomes"),
    [("finish", "turn_ended", TaskStatus.SUCCEEDED), ("release", "turn_failed", TaskStatus.QUEUED)],
)
async def test_an_outcome_waits_for_a_store_that_is_away(
    home: House, operation: str, told: str, becomes: TaskStatus
) -> None:
    home.store.away.add(operation)
    await home.start()
    run = await home.running()
    home.says(run, told, "It is over.")
    await home.until(lambda: home.store.refused >= 3, "several tries")
    assert (await home.journal.run(run.run_id)).state is RunState.RUNNING, "not put away before the store knows"
    assert await home.status(run.task_id) is TaskStatus.RUNNING
    home.store.away.clear()
    await home.until_status(run.task_id, becomes)
    await home.until_ended(run)
    if becomes is TaskStatus.SUCCEEDED:
        assert (await home.kinds(run.task_id)).count(EventKind.TASK_SUCCEEDED) == 1


async def test_a_store_that_is_away_survives_a_restart_of_the_daemon(home: House) -> None:
    home.store.away.add("finish")
    daemon = await home.start()
    run = await home.running()
    home.says(run, "turn_ended", "It is over.")
    await home.until(lambda: home.store.refused, "a try")
    await daemon.vanish()
    home.store.away.clear()
    await home.start()
    task = await home.until_status(run.task_id, TaskStatus.SUCCEEDED, TaskStatus.QUEUED)
    assert (task.status, len(await home.runs(run.task_id))) == (TaskStatus.SUCCEEDED, 1)


class TestTerms:
    async def test_a_retired_orchestrator_does_nothing_that_can_be_seen(self, home: House) -> None:
        old = await home.start()
        run = await home.running()
        old.orchestrator.retire()
        await home.journal.begin_term("another")
        before = await home.kinds(run.task_id)
        home.says(run, "turn_ended", "Over.")
        home.clock.advance(5)
        await home.settled()
        assert await home.status(run.task_id) is TaskStatus.RUNNING
        assert home.agent(run).received == []
        assert await home.kinds(run.task_id) == before
        assert (await home.journal.run(run.run_id)).state is RunState.RUNNING

    async def test_one_that_does_not_know_yet_is_stopped_by_the_journal_before_it_tells_an_outcome(
        self, home: House
    ) -> None:
        await home.start()
        run = await home.running()
        await home.journal.begin_term("another")
        home.says(run, "turn_ended", "Over.")
        await home.until(lambda: home.agent(run).received, "the agent's end")
        await home.settled()
        assert await home.status(run.task_id) is TaskStatus.RUNNING
        assert EventKind.TASK_SUCCEEDED not in await home.kinds(run.task_id)

    async def test_a_second_orchestrator_takes_the_run_over_and_there_is_one_outcome(self, home: House) -> None:
        old = await home.start()
        run = await home.running()
        old.orchestrator.retire()
        await home.start()
        home.says(run, "turn_ended", "Over.")
        await home.until_status(run.task_id, TaskStatus.SUCCEEDED)
        await home.until_ended(run)
        await home.settled()
        assert (await home.kinds(run.task_id)).count(EventKind.TASK_SUCCEEDED) == 1
        assert len(await home.runs(run.task_id)) == 1


class TestLimits:
    async def test_time(self, home: House) -> None:
        await home.start()
        run = await home.running(time_limit_s=60.0, max_attempts=1)
        home.clock.advance(60)
        await home.settled()
        assert await home.status(run.task_id) is TaskStatus.RUNNING
        home.clock.advance(1)
        task = await home.until_status(run.task_id, TaskStatus.FAILED)
        assert task.result is not None and task.result.failure is not None
        assert task.result.failure.kind is FailureKind.TIME_LIMIT
        assert "60 s" in task.result.failure.message

    async def test_budget(self, home: House) -> None:
        await home.start()
        run = await home.running(profile="frugal")
        self._costs(home, run, 0.99)
        await home.settled()
        assert await home.status(run.task_id) is TaskStatus.RUNNING
        self._costs(home, run, 1.01)
        task = await home.until_status(run.task_id, TaskStatus.HELD)
        assert task.hold is not None
        assert (task.hold.reason, task.hold.until) == (HoldReason.BUDGET, None)
        assert "1.00 USD" in task.hold.detail

    @staticmethod
    def _costs(home: House, run: Run, usd: float) -> None:
        status = Evidence(Source.STATUS_LINE, Signal.ACTIVE, home.clock.now(), data={"cost_usd": usd})
        home.clock.advance(2)
        home.driver.observations[run.run_id] = [status]

    async def test_a_usage_limit_holds_until_it_is_lifted_and_the_conversation_goes_on(self, home: House) -> None:
        await home.start()
        run = await home.running()
        lifted = home.clock.now() + timedelta(hours=2)
        home.says(run, "turn_failed", "Limit.", failure_kind="usage_limit", resets_at=lifted.timestamp())
        task = await home.until_status(run.task_id, TaskStatus.HELD)
        assert task.hold is not None
        assert (task.hold.reason, task.hold.until, task.attempt) == (HoldReason.USAGE_LIMIT, lifted, 0)
        home.clock.advance(3600)
        await home.settled()
        assert await home.status(run.task_id) is TaskStatus.HELD
        home.clock.advance(3600)
        await home.until_status(run.task_id, TaskStatus.RUNNING)
        again = await home.run_of(run.task_id)
        assert (again.session_id, again.resumed) == (run.session_id, True)

    async def test_silence_is_nudged_once_and_then_fails(self, home: House) -> None:
        await home.start()
        run = await home.running(max_attempts=1)
        home.says(run, "prompt_accepted")
        await home.until_state(run, "working")
        home.clock.advance(300)
        await home.until(lambda: home.typed(run), "a nudge")
        home.clock.advance(61)
        task = await home.until_status(run.task_id, TaskStatus.FAILED)
        assert task.result is not None and task.result.failure is not None
        assert task.result.failure.kind is FailureKind.INACTIVITY
        assert len(home.typed(run)) == 1


class TestEndMarker:
    async def test_it_is_asked_for_once_and_then_the_attempt_fails(self, home: House) -> None:
        await home.start()
        run = await home.running(profile="marked", max_attempts=1)
        home.says(run, "turn_ended", "I think that is it.")
        await home.until(lambda: home.typed(run), "the question")
        assert home.typed(run) == [MARKER_REQUEST]
        home.clock.advance(3)
        home.says(run, "prompt_accepted")
        await home.settled()
        home.clock.advance(3)
        home.says(run, "turn_ended", "As I said.")
        task = await home.until_status(run.task_id, TaskStatus.FAILED)
        assert task.result is not None and task.result.failure is not None
        assert task.result.failure.kind is FailureKind.AGENT_ERROR
        assert home.typed(run) == [MARKER_REQUEST]

    @pytest.mark.parametrize(
        ("said", "becomes", "text"),
        [("Fine.\n\n[DONE]", TaskStatus.SUCCEEDED, "Fine."), ("No.\n\n[ERROR] no way", TaskStatus.FAILED, "No.")],
    )
    async def test_it_is_believed(self, home: House, said: str, becomes: TaskStatus, text: str) -> None:
        await home.start()
        run = await home.running(profile="marked", max_attempts=1)
        home.says(run, "turn_ended", said)
        task = await home.until_status(run.task_id, becomes)
        assert task.result is not None
        assert task.result.text == text


async def test_open_permissions_expire_with_their_run(home: House) -> None:
    await home.start()
    run = await home.running()
    await home.journal.add_permission(a_permission(run, home.clock.now()))
    await home.until_status(run.task_id, TaskStatus.WAITING)
    home.pad.end(run.run_id, exit_code=1)
    await home.until_ended(run)
    await home.until_permission(run, PermissionStatus.EXPIRED)


async def test_a_permission_that_was_answered_in_the_window_is_closed_when_the_agent_goes_on(home: House) -> None:
    await home.start()
    run = await home.running()
    await home.journal.add_permission(a_permission(run, home.clock.now()))
    await home.until_status(run.task_id, TaskStatus.WAITING)
    home.clock.advance(5)
    home.says(run, "tool_started", tool_use_id="t1")
    await home.until_status(run.task_id, TaskStatus.RUNNING)
    await home.until_permission(run, PermissionStatus.ANSWERED_ELSEWHERE)


def a_permission(run: Run, at: datetime) -> PermissionRequest:
    return PermissionRequest(
        request_id="perm-1",
        run_id=run.run_id,
        task_id=run.task_id,
        dialog="permission",
        tool_name="Bash",
        tool_input={"command": "date"},
        suggestions=(),
        status=PermissionStatus.OPEN,
        created_at=at,
        expires_at=None,
    )


async def test_a_machine_that_cannot_start_agents_holds_the_task_and_consumes_no_attempt(home: House) -> None:
    home.driver.refusal = NotLoggedIn()
    await home.start()
    task_id = await home.add()
    task = await home.until_status(task_id, TaskStatus.HELD)
    assert task.hold is not None
    assert (task.hold.reason, task.hold.detail, task.attempt) == (HoldReason.SETUP, NotLoggedIn().message, 0)
    home.driver.refusal = None
    home.clock.advance(300)
    await home.until_status(task_id, TaskStatus.RUNNING)


async def test_no_more_agents_than_allowed_and_the_next_one_when_there_is_room(home: House) -> None:
    await home.start()
    tasks = [await home.add(f"Number {number}.") for number in range(5)]
    await home.until(lambda: len(home.terminal.opened) == 3, "three windows")
    await home.settled()
    assert len(home.terminal.opened) == 3
    first = await home.run_of(tasks[0])
    home.says(first, "turn_ended", "Over.")
    await home.until(lambda: len(home.terminal.opened) == 4, "the fourth window")
    assert home.terminal.opened[3].run_id == (await home.run_of(tasks[3])).run_id
