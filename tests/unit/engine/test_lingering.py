"""An agent that stays after its turn takes messages until it was idle for long enough; then its task is done."""

from __future__ import annotations

import signal
from dataclasses import replace
from pathlib import Path

import pytest

from ccm_orchestrator.domain.dialogue import Message, MessageStatus
from ccm_orchestrator.domain.options import RunOptions
from ccm_orchestrator.domain.result import FailureKind
from ccm_orchestrator.domain.run import Run
from ccm_orchestrator.domain.task import HoldReason, TaskStatus
from tests.unit.engine.house import House

SESSION = "5b9c4ad2-6f43-4a0e-93b1-8e8c6e3f7a11"
IDLE_S = 600.0
STAYS = RunOptions(session_id=SESSION, linger_s=IDLE_S)


async def resting(home: House, **fields: object) -> Run:
    """The run of an agent that has answered its prompt, and stays."""
    run = await home.running("Greet.", options=STAYS, **fields)
    home.pad.hook(run.run_id, "UserPromptSubmit", {"signal": "prompt_accepted", "prompt": "Greet."})
    await home.until_state(run, "working")
    await rest(home, run, "Hello.")
    return run


async def rest(home: House, run: Run, text: str) -> None:
    home.clock.advance(1)
    home.says(run, "turn_ended", text)
    await home.until_state(run, "complete")


async def send(home: House, run: Run, text: str) -> Message:
    """Typed, and taken by the agent, which works on it."""
    message = await home.journal.add_message(run.run_id, text)
    await home.until_message(message, MessageStatus.DELIVERED)
    home.clock.advance(1)
    home.pad.hook(run.run_id, "UserPromptSubmit", {"signal": "prompt_accepted", "prompt": text})
    await home.until_message(message, MessageStatus.ACCEPTED)
    return message


async def receipts(home: House, run: Run) -> list[tuple[str, MessageStatus, str]]:
    return [(m.text, m.status, m.answer) for m in await home.journal.messages(run.run_id)]


async def test_it_stays_until_it_was_idle_for_long_enough(home: House) -> None:
    await home.start()
    run = await resting(home)
    home.clock.advance(IDLE_S - 2)
    await home.settled()
    assert (await home.status(run.task_id), home.agent(run).received) == (TaskStatus.RUNNING, [])
    home.clock.advance(2)
    task = await home.until_status(run.task_id, TaskStatus.SUCCEEDED)
    assert task.result is not None
    assert (task.result.text, home.agent(run).received) == ("Hello.", [signal.SIGTERM])


async def test_its_prompt_is_the_first_of_its_messages_and_answers_are_kept(home: House) -> None:
    await home.start()
    run = await resting(home)
    await send(home, run, "And you?")
    await rest(home, run, "Fine.")
    await home.until(lambda: answered(home, run, 2), "two answers")
    assert await receipts(home, run) == [
        ("Greet.", MessageStatus.ANSWERED, "Hello."),
        ("And you?", MessageStatus.ANSWERED, "Fine."),
    ]


async def answered(home: House, run: Run, count: int) -> bool:
    return [status for _, status, _ in await receipts(home, run)] == [MessageStatus.ANSWERED] * count


async def test_a_message_begins_its_time_anew(home: House) -> None:
    await home.start()
    run = await resting(home)
    home.clock.advance(IDLE_S - 10)
    await send(home, run, "Still there?")
    await rest(home, run, "Yes.")
    home.clock.advance(IDLE_S - 10)
    await home.settled()
    assert await home.status(run.task_id) is TaskStatus.RUNNING
    home.clock.advance(10)
    task = await home.until_status(run.task_id, TaskStatus.SUCCEEDED)
    assert task.result is not None and task.result.text == "Yes."


async def test_an_end_marker_is_not_asked_of_it(home: House) -> None:
    await home.start()
    run = await resting(home, profile="marked")
    await home.settled()
    assert (home.typed(run), home.driver.orders[-1].profile.end_marker) == ([], False)


async def test_a_turn_that_was_interrupted_is_rest_too(home: House) -> None:
    await home.start()
    run = await resting(home)
    await send(home, run, "Count to a million.")
    home.says(run, "idle")
    await home.until_state(run, "waiting")
    home.clock.advance(IDLE_S)
    await home.until_status(run.task_id, TaskStatus.SUCCEEDED)


async def test_its_lease_is_renewed_while_it_rests(home: House) -> None:
    await home.start()
    run = await resting(home)
    for _ in range(5):
        home.clock.advance(80)
        await home.settled()
    task = await home.store.get(run.task_id)
    assert (task.status, task.fence) == (TaskStatus.RUNNING, 1)


async def test_the_next_daemon_adopts_it_and_it_goes_on_resting(home: House) -> None:
    daemon = await home.start()
    run = await resting(home)
    home.clock.advance(IDLE_S / 2)
    await daemon.vanish()
    await home.start()
    assert await home.decisions() == ["adopt"]
    await send(home, run, "Still there?")
    await rest(home, run, "Yes.")
    home.clock.advance(IDLE_S - 1)
    await home.settled()
    assert await home.status(run.task_id) is TaskStatus.RUNNING
    home.clock.advance(2)
    await home.until_status(run.task_id, TaskStatus.SUCCEEDED)
    assert len(home.terminal.opened) == 1


async def test_the_time_in_which_nobody_watched_counts(home: House) -> None:
    daemon = await home.start()
    run = await resting(home)
    await daemon.vanish()
    home.clock.advance(IDLE_S)
    await home.start()
    await home.until_status(run.task_id, TaskStatus.SUCCEEDED)


@pytest.mark.parametrize("recorded", [True, False])
async def test_one_that_ends_while_it_rests_had_done_its_work(home: House, recorded: bool) -> None:
    await home.start()
    run = await resting(home)
    if recorded:
        home.pad.end(run.run_id, exit_code=0)
    else:
        home.pad.vanish(run.run_id)
    await home.until_status(run.task_id, TaskStatus.SUCCEEDED)


@pytest.mark.parametrize("recorded", [True, False])
async def test_one_that_ended_while_nobody_watched_is_not_started_again(home: House, recorded: bool) -> None:
    daemon = await home.start()
    run = await resting(home)
    home.clock.advance(120)  # longer than what counts as dying right after the start
    await home.settled()
    await daemon.vanish()
    if recorded:
        home.pad.end(run.run_id, exit_code=0)
    else:
        home.pad.vanish(run.run_id)
    await home.start()
    task = await home.until_status(run.task_id, TaskStatus.SUCCEEDED, TaskStatus.QUEUED)
    assert (task.status, len(home.terminal.opened)) == (TaskStatus.SUCCEEDED, 1)


async def test_stopping_it_while_it_rests_ends_it_as_done(home: House) -> None:
    await home.start()
    run = await resting(home)
    await home.store.cancel(run.task_id)
    await home.until_status(run.task_id, TaskStatus.SUCCEEDED)
    assert home.agent(run).received == [signal.SIGTERM]


async def test_stopping_it_while_it_works_cancels_its_task(home: House) -> None:
    await home.start()
    run = await resting(home)
    await send(home, run, "Count to a million.")
    await home.store.cancel(run.task_id)
    await home.until_status(run.task_id, TaskStatus.CANCELLED)


@pytest.mark.parametrize("restarted", [False, True])
async def test_each_turn_has_the_time_limit_to_itself(home: House, restarted: bool) -> None:
    daemon = await home.start()
    run = await resting(home, time_limit_s=100.0)
    home.clock.advance(IDLE_S / 2)
    await send(home, run, "Go on.")
    await home.until_state(run, "working")
    home.clock.advance(60)
    home.says(run, "active")
    await home.settled()
    if restarted:
        await daemon.vanish()
        await home.start()
        await home.settled()
    assert await home.status(run.task_id) is TaskStatus.RUNNING
    home.clock.advance(50)
    home.says(run, "active")
    ended = await home.until_ended(run)
    assert ended.failure_kind is FailureKind.TIME_LIMIT


async def test_a_conversation_that_was_kept_is_gone_on_with(home: House) -> None:
    await home.start()
    begun = await resting(home)
    home.clock.advance(IDLE_S)
    await home.until_status(begun.task_id, TaskStatus.SUCCEEDED)
    again = await home.running("Once more.", options=STAYS)
    assert (begun.resumed, again.resumed, again.session_id) == (False, True, SESSION)
    assert home.driver.orders[-1].prompt == "Once more."


async def test_it_works_in_its_own_directory(home: House, tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.mkdir()
    await home.start()
    run = await home.running(options=replace(STAYS, directory=own))
    assert (run.cwd, home.agent(run).launch.cwd) == (own, own)


async def test_without_its_own_directory_it_is_held(home: House, tmp_path: Path) -> None:
    await home.start()
    task_id = await home.add(options=replace(STAYS, directory=tmp_path / "gone"))
    task = await home.until_status(task_id, TaskStatus.HELD)
    assert task.hold is not None and task.hold.reason is HoldReason.SETUP
    assert "own directory" in task.hold.detail
