"""What an earlier daemon left behind, row by row of the adoption table."""

from __future__ import annotations

import signal
from dataclasses import replace

import pytest

from ccm_orchestrator.domain.events import BusEvent, EventKind
from ccm_orchestrator.domain.result import FailureKind, Outcome
from ccm_orchestrator.domain.run import Run, RunState
from ccm_orchestrator.domain.task import HoldReason, TaskStatus
from ccm_orchestrator.ports.launching import Ticket
from tests.unit.engine.house import House


async def left_running(home: House) -> Run:
    """A run whose agent works, and whose daemon is gone."""
    daemon = await home.start()
    run = await home.running()
    home.says(run, "prompt_accepted")
    await home.until_state(run, "working")
    home.clock.advance(120)  # longer than what counts as dying right after the start
    await home.settled()
    await daemon.vanish()
    return run


async def test_an_agent_with_its_launcher_is_adopted_and_finished(home: House) -> None:
    run = await left_running(home)
    await home.start()
    assert await home.decisions() == ["adopt"]
    home.says(run, "turn_ended", "Over.")
    task = await home.until_status(run.task_id, TaskStatus.SUCCEEDED)
    assert (task.fence, task.attempt, len(await home.runs(run.task_id))) == (1, 1, 1)


async def test_one_that_ended_meanwhile_is_settled_with_all_it_left(home: House) -> None:
    run = await left_running(home)
    home.says(run, "turn_ended", "Over, while you were away.")
    home.pad.end(run.run_id)
    await home.start()
    assert await home.decisions() == ["settle"]
    task = await home.until_status(run.task_id, TaskStatus.SUCCEEDED, TaskStatus.QUEUED, TaskStatus.FAILED)
    assert task.result is not None
    assert (task.result.outcome, task.result.text) == (Outcome.SUCCEEDED, "Over, while you were away.")


async def test_one_that_broke_down_meanwhile_is_retried(home: House) -> None:
    run = await left_running(home)
    home.pad.end(run.run_id, exit_code=None, number=9, reason="signalled")
    await home.start()
    assert await home.decisions() == ["settle"]
    await home.until_status(run.task_id, TaskStatus.QUEUED)
    assert (await home.until_ended(run)).failure_kind is FailureKind.AGENT_EXIT


async def test_an_agent_without_its_launcher_is_watched_and_never_doubled(home: House) -> None:
    run = await left_running(home)
    home.agent(run).lock_held = False
    await home.start()
    assert await home.decisions() == ["detached"]
    await home.settled()
    assert len(home.terminal.opened) == 1
    home.says(run, "turn_ended", "Over.")
    await home.until_status(run.task_id, TaskStatus.SUCCEEDED)
    assert home.agent(run).received == [signal.SIGTERM]


async def test_what_was_never_started_is_started_again_under_a_new_claim(home: House) -> None:
    home.launches = False
    daemon = await home.start()
    task_id = await home.add()
    await home.until(lambda: home.terminal.opened, "a window")
    run = await home.run_of(task_id)
    await daemon.vanish()
    home.clock.advance(120)
    await home.start()
    assert await home.decisions() == ["start_again"]
    assert home.agent(run).ticket is Ticket.REVOKED
    task = await home.until_status(task_id, TaskStatus.QUEUED)
    assert (task.attempt, task.infra_attempt) == (0, 1)
    home.launches = True
    home.clock.advance(30)
    await home.until_status(task_id, TaskStatus.RUNNING)
    again = await home.run_of(task_id)
    assert (again.fence, again.attempt) == (2, 1)
    assert home.pad.start(run.run_id) is False, "the window of the first try starts nothing any more"


async def test_what_vanished_is_resumed(home: House) -> None:
    run = await left_running(home)
    home.pad.vanish(run.run_id)
    await home.start()
    assert await home.decisions() == ["lost"]
    await home.until_status(run.task_id, TaskStatus.QUEUED)
    home.clock.advance(30)
    await home.until_status(run.task_id, TaskStatus.RUNNING)
    again = await home.run_of(run.task_id)
    assert (again.session_id, again.resumed, again.attempt) == (run.session_id, True, 1)


async def test_a_tmux_that_does_not_answer_proves_nothing_of_a_living_agent(home: House) -> None:
    run = await left_running(home)
    home.terminal.unavailable = True
    await home.start()
    assert await home.decisions() == ["adopt"]
    await home.settled()
    assert (await home.status(run.task_id), home.agent(run).received) == (TaskStatus.RUNNING, [])
    home.terminal.unavailable = False
    home.says(run, "turn_ended", "Over.")
    await home.until_status(run.task_id, TaskStatus.SUCCEEDED)


async def test_without_tmux_what_is_not_seen_is_waited_for_before_it_counts_as_lost(home: House) -> None:
    home.launches = False
    daemon = await home.start()
    task_id = await home.add()
    await home.until(lambda: home.terminal.opened, "a window")
    await daemon.vanish()
    home.terminal.unavailable = True
    await home.start()
    assert await home.decisions() == ["wait"]
    await home.settled()
    assert await home.status(task_id) is TaskStatus.CLAIMED
    assert home.pad.start((await home.run_of(task_id)).run_id) is False, "nothing starts behind its back"
    home.clock.advance(16)
    await home.until_status(task_id, TaskStatus.QUEUED)


async def test_a_claim_that_was_superseded_meanwhile_is_given_up_and_its_agent_ended(home: House) -> None:
    run = await left_running(home)
    home.store.take_over(run.task_id)
    await home.start()
    ended = await home.until_ended(run)
    assert (ended.outcome, home.agent(run).agent_alive) == (None, False)
    assert (await home.store.get(run.task_id)).fence == 2
    assert await home.store.late_results(run.task_id) == []


async def test_a_task_that_was_cancelled_meanwhile_is_cancelled(home: House) -> None:
    run = await left_running(home)
    await home.store.cancel(run.task_id)
    await home.start()
    await home.until_status(run.task_id, TaskStatus.CANCELLED)
    assert home.agent(run).received == [signal.SIGINT]


async def test_a_claim_whose_answer_was_never_seen_is_carried_out_once(home: House) -> None:
    home.terminal.unavailable = True
    daemon = await home.start()
    await daemon.vanish()
    home.terminal.unavailable = False
    task_id = await home.add()
    request = await home.lost_claim()
    assert await home.status(task_id) is TaskStatus.CLAIMED
    await home.start()
    await home.until_status(task_id, TaskStatus.RUNNING)
    assert len(await home.runs(task_id)) == 1
    assert request not in await home.journal.open_claims()


async def test_a_claim_that_was_carried_out_before_it_was_settled_is_not_carried_out_again(home: House) -> None:
    home.launches = False
    task_id = await home.add()
    request = await home.lost_claim()
    daemon = await home.start()
    await home.until(lambda: home.terminal.opened, "a window")
    await daemon.vanish()
    await home.journal.remember_claim(request)
    home.clock.advance(120)
    await home.start()
    assert await home.decisions() == ["start_again"]
    await home.until_status(task_id, TaskStatus.QUEUED)
    assert [run.fence for run in await home.runs(task_id)] == [1]
    assert len(home.terminal.opened) == 1


@pytest.mark.parametrize("deaths", [2, 3])
async def test_the_third_death_right_after_the_start_makes_the_task_poison(home: House, deaths: int) -> None:
    daemon = await home.start()
    run = await home.running()
    for _ in range(deaths):
        await daemon.vanish()
        daemon = await home.start()
    if deaths < 3:
        assert await home.status(run.task_id) is TaskStatus.RUNNING
        return
    task = await home.until_status(run.task_id, TaskStatus.HELD)
    assert task.hold is not None
    assert task.hold.reason is HoldReason.POISON
    assert home.agent(run).agent_alive is False


async def test_one_that_ended_by_itself_is_no_poison_however_often_the_daemon_died(home: House) -> None:
    daemon = await home.start()
    run = await home.running()
    for _ in range(2):
        await daemon.vanish()
        daemon = await home.start()
    await daemon.vanish()
    home.pad.end(run.run_id)
    await home.start()
    assert (await home.decisions())[-1] == "settle"
    await home.until_ended(run)
    assert await home.status(run.task_id) is not TaskStatus.HELD


async def test_an_orderly_stop_is_no_death(home: House) -> None:
    daemon = await home.start()
    run = await home.running()
    for _ in range(4):
        await daemon.stop()
        await home.said_goodbye()
        daemon = await home.start()
    assert await home.status(run.task_id) is TaskStatus.RUNNING
    assert (await home.journal.run(run.run_id)).daemon_deaths == 0


@pytest.mark.parametrize("stopped", [True, False])
async def test_what_is_told_before_an_orchestrator_works_makes_no_stop_a_death(home: House, stopped: bool) -> None:
    """A daemon that gives up because its API cannot be served stops its orchestrator in order; the next one tells of
    that first, and must not blame the tasks that were begun lately, whose agents it would end."""
    daemon = await home.start()
    run = await home.running()
    for _ in range(3):
        await daemon.vanish()
        if stopped:
            await home.said_goodbye()
        await home.events.append([BusEvent(EventKind.INCIDENT_OPENED, home.clock.now())] * 3)
        daemon = await home.start()
    if stopped:
        assert (await home.journal.run(run.run_id)).daemon_deaths == 0
        assert await home.status(run.task_id) is TaskStatus.RUNNING
    else:
        await home.until_status(run.task_id, TaskStatus.HELD)
    assert home.agent(run).agent_alive is stopped


async def test_windows_of_no_open_run_and_of_people_are_left_alone(home: House) -> None:
    run = await left_running(home)
    stray = replace(run, run_id="f" * 32)
    await home.terminal.open_window(stray.run_id, ("sleep",))
    mine = home.terminal.open_by_person("editor")
    before = len(await home.terminal.windows())
    await home.start()
    await home.settled()
    assert len(await home.terminal.windows()) == before
    assert mine in [info.ref for info in await home.terminal.windows()]
    assert (await home.journal.run(run.run_id)).state is RunState.RUNNING


async def test_a_daemon_introduces_itself_before_it_claims(home: House) -> None:
    task_id = await home.add(labels=("linux",))
    elsewhere = await home.add(labels=("gpu",))
    daemon = await home.start()
    await home.until_status(task_id, TaskStatus.RUNNING)
    assert await home.status(elsewhere) is TaskStatus.QUEUED
    (here,) = await home.store.systems()
    assert (here.system_id, here.system_name, here.version, here.labels) == ("here", "Here", "1.2.3", ("linux",))
    await daemon.vanish()


async def test_a_system_that_drains_goes_on_doing_so_when_its_daemon_is_restarted(home: House) -> None:
    run = await left_running(home)
    await home.store.drain("here")
    await home.start()
    waiting = await home.add()
    home.says(run, "turn_ended", "Over.")
    await home.until_status(run.task_id, TaskStatus.SUCCEEDED)
    await home.settled()
    assert await home.status(waiting) is TaskStatus.QUEUED
    await home.store.drain("here", False)
    await home.until_status(waiting, TaskStatus.RUNNING)
