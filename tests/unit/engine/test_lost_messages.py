"""Messages to standing agents whose process ends under them: each goes on in the next one, and none is told twice."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ccm_orchestrator.domain.agent import Evidence, Signal, Source
from ccm_orchestrator.domain.dialogue import MessageStatus
from ccm_orchestrator.domain.run import Run
from ccm_orchestrator.domain.standing_agent import StandingAgent, StandingMessage, StandingStatus
from ccm_orchestrator.domain.task import TaskStatus
from ccm_orchestrator.engine.spawn import CONTINUE_PROMPT
from ccm_orchestrator.engine.standing_agents import NewStandingAgent
from tests.unit.engine.house import House
from tests.unit.engine.office import Office

KILLED = 9
LONG_S = 3600.0
"""Longer than the wait before a lost process is replaced."""


@pytest.fixture
async def office(home: House, tmp_path: Path) -> AsyncIterator[Office]:
    built = Office(home, tmp_path / "agents")
    await built.open()
    yield built
    await built.close()


async def awake(office: Office) -> tuple[StandingAgent, Run, StandingMessage]:
    """An agent that has answered its first message, with its run and that message."""
    agent = await office.agents.create(NewStandingAgent("writer", idle_s=2 * LONG_S))
    sent = await office.agents.send(agent, "Greet.")
    run = await office.run_of(agent)
    await office.takes(run, "Greet.")
    await office.answers(run, "Hello.")
    sent = await office.until_message(agent, sent, MessageStatus.ANSWERED)
    office.home.pad.hook(run.run_id, "Any", {"transcript_path": "/transcript.jsonl"})
    return agent, run, sent


async def typed(office: Office, agent: StandingAgent, run: Run, text: str) -> StandingMessage:
    sent = await office.agents.send(agent, text)
    await office.home.until(lambda: text in office.home.typed(run), f"{text!r} typed")
    return await office.until_message(agent, sent, MessageStatus.DELIVERED)


def wrote_down(home: House, run: Run, text: str, queued: bool) -> None:
    data = {"prompt": text, "queued": queued}
    entry = Evidence(Source.TRANSCRIPT, Signal.ACTIVE, home.clock.now(), "prompt", data)
    home.driver.observations.setdefault(run.run_id, []).append(entry)


async def next_run(office: Office, agent: StandingAgent, before: Run) -> Run:
    async def another() -> bool:
        office.home.clock.advance(1)
        task_id = (await office.store.agent(agent.agent_id)).task_id
        return task_id is not None and before not in (await office.home.runs(task_id))[-1:]

    await office.home.until_ended(before)
    before = await office.home.journal.run(before.run_id)
    await office.tended(agent, another, "another run")
    return await office.run_of(agent)


async def test_what_an_agent_was_killed_over_goes_on_in_its_next_process(office: Office) -> None:
    agent, run, first = await awake(office)
    sent = await typed(office, agent, run, "Count.")
    await office.takes(run, "Count.")
    await office.until_message(agent, sent, MessageStatus.ACCEPTED)
    office.home.pad.end(run.run_id, exit_code=None, number=KILLED)
    again = await next_run(office, agent, run)
    assert (again.task_id, again.resumed, again.session_id) == (run.task_id, True, run.session_id)
    assert office.home.driver.orders[-1].prompt == CONTINUE_PROMPT.format(prompt="Count."), "and no greeting again"
    assert (await office.store.message(sent.message_id)).status in (MessageStatus.DELIVERED, MessageStatus.ACCEPTED)
    await office.takes(again, office.home.driver.orders[-1].prompt)
    await office.answers(again, "One, two.")
    counted = await office.until_message(agent, sent, MessageStatus.ANSWERED)
    assert (counted.answer, counted.run_id, counted.tries) == ("One, two.", again.run_id, 1)
    assert (await office.store.message(first.message_id)).answer == "Hello."
    assert office.home.typed(again) == []


async def test_it_goes_on_also_when_the_next_process_is_killed_too(office: Office) -> None:
    agent, run, _ = await awake(office)
    sent = await typed(office, agent, run, "Count.")
    await office.takes(run, "Count.")
    office.home.pad.end(run.run_id, exit_code=None, number=KILLED)
    second = await next_run(office, agent, run)
    office.home.pad.end(second.run_id, exit_code=None, number=KILLED)
    third = await next_run(office, agent, second)
    assert office.home.driver.orders[-1].prompt == CONTINUE_PROMPT.format(prompt="Count.")
    await office.takes(third, "Count.")
    await office.answers(third, "One, two.")
    assert (await office.until_message(agent, sent, MessageStatus.ANSWERED)).answer == "One, two."


async def test_what_waited_in_the_queue_of_a_killed_agent_is_sent_again(office: Office) -> None:
    agent, run, _ = await awake(office)
    first = await typed(office, agent, run, "Count.")
    await office.takes(run, "Count.")
    wrote_down(office.home, run, "Count.", queued=False)
    later = await typed(office, agent, run, "And backwards.")
    wrote_down(office.home, run, "And backwards.", queued=True)
    await office.until_message(agent, later, MessageStatus.ACCEPTED)
    office.home.pad.end(run.run_id, exit_code=None, number=KILLED)
    again = await next_run(office, agent, run)
    assert "backwards" not in office.home.driver.orders[-1].prompt
    await office.takes(again, "Count.")
    await office.until_message(agent, later, MessageStatus.DELIVERED)
    assert office.home.typed(again) == ["And backwards."]
    await office.takes(again, "And backwards.")
    await office.answers(again, "Two, one.")
    for message in (first, later):
        assert (await office.until_message(agent, message, MessageStatus.ANSWERED)).answer == "Two, one."


async def test_what_was_typed_into_a_dying_agent_is_the_next_one_s_prompt(office: Office) -> None:
    agent, run, _ = await awake(office)
    sent = await typed(office, agent, run, "Anybody there?")
    assert office.home.typed(run) == ["Anybody there?"]
    assert (await office.store.message(sent.message_id)).status is MessageStatus.DELIVERED, "it took nothing"
    orders = len(office.home.driver.orders)
    office.home.pad.end(run.run_id, exit_code=None, number=KILLED)
    again = await next_run(office, agent, run)
    assert len(office.home.driver.orders) == orders + 1
    assert again.task_id != run.task_id, "the first process had nothing left to do"
    assert office.home.driver.orders[-1].prompt == "Anybody there?"
    await office.takes(again, "Anybody there?")
    await office.answers(again, "Yes.")
    answered = await office.until_message(agent, sent, MessageStatus.ANSWERED)
    assert (answered.tries, answered.answer) == (2, "Yes.")
    assert office.home.typed(again) == [], "its prompt was the message"


async def test_one_that_ends_by_itself_over_a_message_has_failed_at_it(office: Office) -> None:
    agent, run, _ = await awake(office)
    sent = await typed(office, agent, run, "Count.")
    await office.takes(run, "Count.")
    office.home.pad.end(run.run_id, exit_code=0)
    assert "exit code 0" in (await office.until_message(agent, sent, MessageStatus.FAILED)).detail
    assert await office.status(agent) is StandingStatus.ERROR


async def test_a_usage_limit_is_waited_for_with_the_message_that_met_it(office: Office) -> None:
    agent, run, _ = await awake(office)
    sent = await typed(office, agent, run, "Count.")
    await office.takes(run, "Count.")
    office.home.says(run, "turn_failed", "The limit is reached.", failure_kind="usage_limit")
    await office.home.until_status(run.task_id, TaskStatus.HELD)
    assert (await office.until_message(agent, sent, MessageStatus.ACCEPTED)).detail == "The limit is reached."
    office.home.clock.advance(LONG_S)
    await next_run(office, agent, run)
    assert office.home.driver.orders[-1].prompt == CONTINUE_PROMPT.format(prompt="Count.")


async def test_a_limit_that_a_person_met_in_the_window_repeats_nothing(office: Office) -> None:
    agent, run, _ = await awake(office)
    await office.takes(run, "typed by hand")
    office.home.says(run, "turn_failed", "The limit is reached.", failure_kind="usage_limit")
    await office.home.until_status(run.task_id, TaskStatus.FAILED)
    assert len(office.home.driver.orders) == 1
    assert await office.status(agent) is StandingStatus.ERROR
