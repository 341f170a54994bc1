"""Messages to an agent: typed when no dialog can be open, and answered when a turn of theirs has ended."""

from __future__ import annotations

from datetime import timedelta

import pytest

from ccm_orchestrator.domain.agent import Evidence, Signal, Source
from ccm_orchestrator.domain.dialogue import Message, MessageStatus
from ccm_orchestrator.domain.run import Run
from ccm_orchestrator.domain.task import TaskStatus
from ccm_orchestrator.ports.terminal import Key
from tests.unit.engine.house import House


async def working(home: House, transcript: bool = True) -> Run:
    """The run of an agent in the middle of its turn."""
    await home.start()
    run = await home.running()
    path = {"transcript_path": "/transcript.jsonl"} if transcript else {}
    home.pad.hook(run.run_id, "Any", {"signal": "prompt_accepted", **path})
    await home.until_state(run, "working")
    return run


async def send(home: House, run: Run, text: str) -> Message:
    """Queued, and then typed."""
    message = await home.journal.add_message(run.run_id, text)
    await home.until(lambda: text in home.typed(run), f"{text!r} typed")
    await home.until_message(message, MessageStatus.DELIVERED)
    return message


def wrote_down(home: House, run: Run, text: str, queued: bool = False) -> None:
    """The agent's transcript holds this, beside what it held before."""
    data = {"prompt": text, "queued": queued}
    entry = Evidence(Source.TRANSCRIPT, Signal.ACTIVE, home.clock.now(), "prompt", data)
    home.driver.observations.setdefault(run.run_id, []).append(entry)


def reported(home: House, run: Run, text: str) -> None:
    """The hook of a submitted prompt."""
    home.pad.hook(run.run_id, "UserPromptSubmit", {"prompt": text})


async def test_a_message_of_the_running_turn_is_answered_with_it(home: House) -> None:
    run = await working(home)
    message = await send(home, run, "look here;")
    assert home.terminal.of_run(run.run_id).pressed == [Key.ENTER]
    reported(home, run, "look here;")
    await home.until_message(message, MessageStatus.ACCEPTED)
    wrote_down(home, run, "look here;")
    home.clock.advance(1)
    home.says(run, "turn_ended", "Seen.")
    await home.until_message(message, MessageStatus.ANSWERED)
    await home.until_status(run.task_id, TaskStatus.SUCCEEDED)


async def test_a_message_in_the_agent_s_own_queue_gets_its_turn_before_the_run_ends(home: House) -> None:
    run = await working(home)
    message = await send(home, run, "and then?")
    reported(home, run, "and then?")
    await home.until_message(message, MessageStatus.ACCEPTED)
    wrote_down(home, run, "and then?", queued=True)
    home.clock.advance(1)
    home.says(run, "turn_ended", "First answer.")
    await home.until_state(run, "complete")
    await home.settled()
    assert await home.status(run.task_id) is TaskStatus.RUNNING, "its own turn is still to come"
    home.clock.advance(1)
    wrote_down(home, run, "and then?")
    await home.settled()
    assert await home.status(run.task_id) is TaskStatus.RUNNING, "begun is not answered"
    home.clock.advance(1)
    home.says(run, "turn_ended", "Second answer.")
    await home.until_message(message, MessageStatus.ANSWERED)
    task = await home.until_status(run.task_id, TaskStatus.SUCCEEDED)
    assert task.result is not None and task.result.text == "Second answer."


async def test_a_turn_that_never_comes_is_not_waited_for_for_ever(home: House) -> None:
    run = await working(home)
    message = await send(home, run, "hello?")
    reported(home, run, "hello?")
    await home.until_message(message, MessageStatus.ACCEPTED)
    home.clock.advance(1)
    home.says(run, "turn_ended", "Done.")
    await home.until_state(run, "complete")
    await home.settled()
    assert await home.status(run.task_id) is TaskStatus.RUNNING
    home.clock.advance(11)
    await home.until_status(run.task_id, TaskStatus.SUCCEEDED)
    await home.until_ended(run)
    (left,) = await home.journal.messages(run.run_id)
    assert left.status is MessageStatus.ACCEPTED, "nobody says that it was answered"


async def test_a_message_that_no_hook_reports_is_believed_when_the_agent_wrote_it_down(home: House) -> None:
    run = await working(home)
    message = await send(home, run, "while a tool runs")
    wrote_down(home, run, "while a tool runs", queued=True)
    await home.until_message(message, MessageStatus.ACCEPTED)
    wrote_down(home, run, "while a tool runs")
    home.clock.advance(1)
    home.says(run, "turn_ended", "Both done.")
    await home.until_message(message, MessageStatus.ANSWERED)
    await home.until_status(run.task_id, TaskStatus.SUCCEEDED)


async def test_what_was_said_before_the_message_was_sent_is_not_the_message(home: House) -> None:
    run = await working(home)
    wrote_down(home, run, "go on")
    home.clock.advance(60)
    message = await send(home, run, "go on")
    await home.settled()
    assert (await home.journal.messages(run.run_id))[0].status is MessageStatus.DELIVERED
    home.clock.advance(1)
    home.says(run, "turn_ended", "Done.")
    await home.until_state(run, "complete")
    home.clock.advance(11)
    await home.until_message(message, MessageStatus.UNDELIVERED)


async def test_without_a_transcript_every_turn_answers_what_was_accepted(home: House) -> None:
    run = await working(home, transcript=False)
    message = await send(home, run, "quick")
    reported(home, run, "quick")
    await home.until_message(message, MessageStatus.ACCEPTED)
    home.says(run, "turn_ended", "Done.")
    await home.until_message(message, MessageStatus.ANSWERED)
    await home.until_status(run.task_id, TaskStatus.SUCCEEDED)


@pytest.mark.parametrize("seen", ["blocked permission", "asked question"])
async def test_nothing_is_typed_while_a_dialog_is_on_the_screen(home: House, seen: str) -> None:
    run = await working(home)
    home.terminal.of_run(run.run_id).output = seen
    message = await home.journal.add_message(run.run_id, "an Enter would approve")
    await home.settled()
    assert (home.typed(run), home.terminal.of_run(run.run_id).pressed) == ([], [])
    home.terminal.of_run(run.run_id).output = "nothing special"
    home.clock.advance(5)
    home.says(run, "tool_started", tool_use_id="t1")
    await home.until_message(message, MessageStatus.DELIVERED)
    assert home.typed(run) == ["an Enter would approve"]


async def test_what_cannot_be_typed_comes_back_differently_and_is_recognised(home: House) -> None:
    run = await working(home)
    sent = "bell \x07 and \u202eleft\u202c"
    message = await home.journal.add_message(run.run_id, sent)
    await home.until_message(message, MessageStatus.DELIVERED)
    reported(home, run, "bell ␇ and \\u202eleft\\u202c")
    await home.until_message(message, MessageStatus.ACCEPTED)


async def test_what_came_too_fast_to_have_been_typed_comes_back_with_marks_and_is_recognised(home: House) -> None:
    run = await working(home)
    message = await home.journal.add_message(run.run_id, "one two three\nfour")
    await home.until_message(message, MessageStatus.DELIVERED)
    reported(home, run, 'one tw\n\n<pasted_content id="5c1b">\no three\nfo\n</pasted_content id="5c1b">\n\nur')
    await home.until_message(message, MessageStatus.ACCEPTED)


async def test_an_enter_that_was_lost_is_pressed_again(home: House) -> None:
    run = await working(home)
    message = await send(home, run, "hello")
    window = home.terminal.of_run(run.run_id)
    window.output = "typed hello"
    home.clock.advance(1)
    await home.settled()
    assert window.pressed == [Key.ENTER], "it may only be late"
    home.clock.advance(2)
    await home.until(lambda: window.pressed == [Key.ENTER] * 2, "a second Enter")
    window.output = "typed something of a person's own"
    home.clock.advance(3)
    await home.settled()
    assert window.pressed == [Key.ENTER] * 2
    reported(home, run, "hello")
    await home.until_message(message, MessageStatus.ACCEPTED)


async def test_messages_of_a_run_that_ends_first_are_undelivered(home: House) -> None:
    run = await working(home)
    home.terminal.of_run(run.run_id).output = "blocked permission"
    message = await home.journal.add_message(run.run_id, "too late")
    home.pad.end(run.run_id, exit_code=1)
    await home.until_message(message, MessageStatus.UNDELIVERED)
    (kept,) = await home.journal.messages(run.run_id)
    assert kept.detail == "The run ended first."
    assert kept.updated_at - kept.created_at < timedelta(seconds=1)
