"""Standing agents among fakes: messages reach the run that goes on, or begin one that goes on with the conversation."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ccm_orchestrator.domain.dialogue import MessageStatus
from ccm_orchestrator.domain.events import EventKind
from ccm_orchestrator.domain.run import Run
from ccm_orchestrator.domain.standing_agent import StandingAgent, StandingMessage, StandingStatus, Wanted
from ccm_orchestrator.domain.task import TaskStatus
from ccm_orchestrator.engine.heartbeats import Heart
from ccm_orchestrator.engine.standing_agents import NewStandingAgent
from ccm_orchestrator.engine.tending import STOPPED
from ccm_orchestrator.errors import (
    InputError,
    MessageNotFound,
    StandingAgentNotFound,
    UnknownProfile,
    UnknownProject,
    WrongStatus,
)
from tests.unit.engine.house import House
from tests.unit.engine.office import Office


@pytest.fixture
async def office(home: House, tmp_path: Path) -> AsyncIterator[Office]:
    built = Office(home, tmp_path / "agents")
    await built.open()
    yield built
    await built.close()


async def awake(office: Office, **fields: Any) -> tuple[StandingAgent, Run]:
    """An agent that has answered its first message, and its run."""
    agent = await office.agents.create(NewStandingAgent("writer", **fields))
    sent = await office.agents.send(agent, "Greet.")
    run = await office.run_of(agent)
    await office.takes(run, "Greet.")
    await office.answers(run, "Hello.")
    await office.until_message(agent, sent, MessageStatus.ANSWERED)
    return agent, run


async def test_a_new_agent_has_no_process_until_its_first_message(office: Office) -> None:
    agent = await office.agents.create(NewStandingAgent("writer", model="opus", system_prompt="Be brief."))
    assert (await office.status(agent), office.home.driver.orders) == (StandingStatus.HIBERNATING, [])
    sent = await office.agents.send(agent, "Greet.")
    assert sent.status is MessageStatus.QUEUED
    run = await office.run_of(agent)
    (order,) = office.home.driver.orders
    assert (order.prompt, order.model, order.profile.system_prompt) == ("Greet.", "opus", "Be brief.")
    assert (run.cwd, run.session_id, run.resumed) == (agent.directory, agent.session_id, False)
    await office.until_message(agent, sent, MessageStatus.DELIVERED)
    await office.takes(run, "Greet.")
    await office.until_message(agent, sent, MessageStatus.ACCEPTED)
    assert await office.status(agent) is StandingStatus.RUNNING
    await office.answers(run, "Hello.")
    assert (await office.until_message(agent, sent, MessageStatus.ANSWERED)).answer == "Hello."


async def test_a_running_agent_takes_messages_in_order_without_a_new_process(office: Office) -> None:
    agent, run = await awake(office)
    sent = [await office.agents.send(agent, text) for text in ("One.", "Two.")]
    for text in ("One.", "Two."):
        await office.home.until(lambda: text in office.home.typed(run), f"{text} typed")  # noqa: B023
        await office.takes(run, text)
    await office.answers(run, "Three.")
    for message in sent:
        assert (await office.until_message(agent, message, MessageStatus.ANSWERED)).answer == "Three."
    assert office.home.typed(run) == ["One.", "Two."]
    assert len(office.home.driver.orders) == 1


async def test_a_message_wakes_a_hibernating_agent_which_goes_on_with_its_conversation(office: Office) -> None:
    agent, first = await awake(office)
    await office.hibernates(agent, first)
    sent = await office.agents.send(agent, "Once more.")
    second = await office.run_of(agent)
    assert (second.resumed, second.session_id, second.task_id) == (True, first.session_id, sent.task_id)
    assert office.home.driver.orders[-1].prompt == "Once more."
    await office.takes(second, "Once more.")
    await office.answers(second, "Hello again.")
    assert (await office.until_message(agent, sent, MessageStatus.ANSWERED)).answer == "Hello again."


async def test_messages_that_wait_for_a_start_are_sent_after_the_first(office: Office) -> None:
    agent = await office.agents.create(NewStandingAgent("writer"))
    await office.agents.send(agent, "One.")
    later = [await office.agents.send(agent, text) for text in ("Two.", "Three.")]
    assert [message.task_id for message in later] == [None, None]
    run = await office.run_of(agent)
    await office.takes(run, "One.")
    await office.until_message(agent, later[0], MessageStatus.DELIVERED)
    await office.takes(run, "Two.")
    await office.until_message(agent, later[1], MessageStatus.DELIVERED)
    assert office.home.typed(run) == ["Two.", "Three."]


async def test_a_message_that_its_run_never_took_begins_the_next(office: Office) -> None:
    agent, run = await awake(office)
    office.home.terminal.of_run(run.run_id).output = "blocked permission"
    sent = await office.agents.send(agent, "Too late?")
    office.home.pad.end(run.run_id, exit_code=0)
    await office.home.until_ended(run)
    await office.tended(agent, lambda: _moved(office, sent, run.task_id), "a new carrier")
    again = await office.run_of(agent)
    assert (again.resumed, office.home.driver.orders[-1].prompt) == (True, "Too late?")
    await office.takes(again, "Too late?")
    await office.answers(again, "Never.")
    assert (await office.until_message(agent, sent, MessageStatus.ANSWERED)).tries == 2


async def _moved(office: Office, sent: StandingMessage, task_id: str) -> bool:
    return (await office.store.message(sent.message_id)).task_id not in (None, task_id)


async def test_a_new_daemon_goes_on_with_what_was_on_its_way(office: Office) -> None:
    agent, run = await awake(office)
    sent = await office.agents.send(agent, "Still there?")
    await office.until_message(agent, sent, MessageStatus.DELIVERED)
    await office.close()
    office.restart()
    office.running = asyncio.create_task(office.tending.run(Heart("tending", 60.0)))
    await office.takes(run, "Still there?")
    await office.answers(run, "Yes.")
    assert (await office.until_message(agent, sent, MessageStatus.ANSWERED)).answer == "Yes."
    assert office.home.typed(run) == ["Still there?"]


async def test_another_model_begins_another_process_once_all_before_is_answered(office: Office) -> None:
    agent, first = await awake(office)
    before = await office.agents.send(agent, "Count.")
    await office.home.until(lambda: "Count." in office.home.typed(first), "a typed message")
    sent = await office.agents.send(agent, "And with opus?", model="opus")
    await office.takes(first, "Count.")
    assert (await office.store.message(sent.message_id)).task_id is None
    await office.answers(first, "One, two.")
    await office.until_message(agent, before, MessageStatus.ANSWERED)
    await office.tended(agent, lambda: _moved(office, sent, first.task_id), "a new carrier")
    second = await office.run_of(agent)
    assert (office.home.driver.orders[-1].model, second.resumed) == ("opus", True)
    assert (await office.store.agent(agent.agent_id)).model == "opus"
    assert (await office.home.status(first.task_id)) is TaskStatus.SUCCEEDED
    assert office.home.typed(first) == ["Count."]


async def test_a_change_holds_from_the_next_process_on_which_the_next_message_begins(office: Office) -> None:
    agent, first = await awake(office)
    await office.agents.change(agent, {"model": "opus", "system_prompt": "Be brief.", "budget_usd": 2.0})
    await office.home.settled()
    assert (await office.home.status(first.task_id)) is TaskStatus.RUNNING, "nothing was said yet"
    sent = await office.agents.send(agent, "Greet again.")
    await office.tended(agent, lambda: _moved(office, sent, first.task_id), "a new carrier")
    second = await office.run_of(agent)
    order = office.home.driver.orders[-1]
    assert (order.model, order.profile.system_prompt, order.budget_usd) == ("opus", "Be brief.", 2.0)
    assert (second.resumed, second.session_id, office.home.typed(first)) == (True, first.session_id, [])
    await office.takes(second, "Greet again.")
    await office.answers(second, "Hi.")
    assert (await office.until_message(agent, sent, MessageStatus.ANSWERED)).tries == 1
    await office.agents.send(agent, "And again.")
    await office.home.until(lambda: office.home.typed(second), "a message to the same process")


async def test_a_turn_that_fails_fails_its_message_and_the_next_one_tries_again(office: Office) -> None:
    agent, run = await awake(office)
    sent = await office.agents.send(agent, "Break.")
    await office.home.until(lambda: "Break." in office.home.typed(run), "a typed message")
    await office.takes(run, "Break.")
    office.home.says(run, "turn_failed", "The model is broken.", failure_kind="api_error")
    failed = await office.until_message(agent, sent, MessageStatus.FAILED)
    assert failed.detail == "The model is broken."
    assert await office.status(agent) is StandingStatus.ERROR
    await office.agents.send(agent, "Again.")
    assert (await office.run_of(agent)).resumed


async def test_a_conversation_that_was_begun_in_its_window_is_gone_on_with(office: Office) -> None:
    agent, run = await awake(office)
    office.home.pad.hook(run.run_id, "SessionStart", {"session_id": "other-conversation", "signal": "active"})
    office.home.driver.conversations.add("other-conversation")
    await office.hibernates(agent, run)
    await office.agents.send(agent, "Once more.")
    again = await office.run_of(agent)
    assert (again.session_id, again.resumed) == ("other-conversation", True)


async def test_a_stopped_agent_takes_no_messages_until_it_is_started(office: Office) -> None:
    agent, run = await awake(office)
    office.home.terminal.of_run(run.run_id).output = "blocked permission"
    waiting = await office.agents.send(agent, "Wait.")
    agent = await office.agents.stop(agent)
    await office.home.until_ended(run)
    await office.until_status(agent, StandingStatus.STOPPED)
    assert (await office.until_message(agent, waiting, MessageStatus.UNDELIVERED)).detail == STOPPED
    with pytest.raises(WrongStatus, match="start it first"):
        await office.agents.send(agent, "Hello?")
    agent = await office.agents.start(agent)
    assert await office.status(agent) is StandingStatus.HIBERNATING
    await office.agents.send(agent, "Hello again?")
    assert (await office.run_of(agent)).resumed


async def test_stopping_a_working_agent_fails_what_it_was_doing(office: Office) -> None:
    agent, run = await awake(office)
    sent = await office.agents.send(agent, "Count to a million.")
    await office.home.until(lambda: office.home.typed(run), "a typed message")
    await office.takes(run, "Count to a million.")
    await office.agents.stop(agent)
    assert (await office.until_message(agent, sent, MessageStatus.FAILED)).detail == "The agent was stopped."
    await office.until_status(agent, StandingStatus.STOPPED)


async def test_a_deleted_agent_ends_and_its_directory_goes(office: Office) -> None:
    agent, run = await awake(office)
    gone = await office.agents.delete(agent)
    assert gone.wanted is Wanted.TERMINATED
    await office.home.until_ended(run)
    await office.tended(agent, lambda: _cleared(office, agent), "a removed directory")
    assert (agent.directory is not None and agent.directory.exists(), office.workshops.made) == (False, set())
    await office.tending.tend(agent.agent_id)
    assert (office.tending._told, dict(office.tending._turns)) == ({}, {}), "nobody keeps it in mind"
    assert await office.status(agent) is StandingStatus.TERMINATED
    with pytest.raises(WrongStatus, match="deleted"):
        await office.agents.send(gone, "Hello?")
    with pytest.raises(StandingAgentNotFound):
        await office.agents.find("writer")
    assert (await office.agents.create(NewStandingAgent("writer"))).session_id != agent.session_id


async def test_work_that_is_nowhere_else_outlives_its_agent(office: Office) -> None:
    agent, _ = await awake(office)
    office.workshops.full.add(agent.agent_id)
    await office.agents.delete(agent)
    await office.tended(agent, lambda: _cleared(office, agent), "a word about the directory")
    assert "was kept" in (await office.store.agent(agent.agent_id)).detail


async def _cleared(office: Office, agent: StandingAgent) -> bool:
    return (await office.store.agent(agent.agent_id)).cleared


async def test_who_waits_for_a_message_hears_when_it_is_settled(office: Office) -> None:
    agent = await office.agents.create(NewStandingAgent("writer", isolated=False))
    sent = await office.agents.send(agent, "Greet.")
    waiting = asyncio.create_task(office.agents.settled(sent, 30.0))
    run = await office.run_of(agent)
    assert run.cwd == office.home.project
    await office.takes(run, "Greet.")
    await office.answers(run, "Hello.")
    await office.until_message(agent, sent, MessageStatus.ANSWERED)
    assert (await waiting).answer == "Hello."
    assert (await office.agents.settled(sent, 0.01)).answer == "Hello."


async def test_a_message_with_a_known_id_is_sent_once(office: Office) -> None:
    agent, run = await awake(office)
    for _ in range(2):
        sent = await office.agents.send(agent, "Only once.", message_id="chosen")
    await office.until_message(agent, sent, MessageStatus.DELIVERED)
    assert office.home.typed(run) == ["Only once."]
    with pytest.raises(WrongStatus, match="Idempotency-Key"):
        await office.agents.send(agent, "Something else.", message_id="chosen")


async def test_its_status_is_told_when_it_changes(office: Office) -> None:
    agent, run = await awake(office)
    await office.hibernates(agent, run)
    stored = await office.home.events.read(0, 1000)
    told = [s.event.data["status"] for s in stored if s.event.kind is EventKind.STANDING_AGENT]
    assert told == ["hibernating", "starting", "running", "hibernating"]


async def test_each_user_finds_its_own_agents_only(office: Office) -> None:
    mine = await office.agents.create(NewStandingAgent("writer", owner="me"))
    theirs = await office.agents.create(NewStandingAgent("writer", owner="them"))
    assert await office.agents.find("writer", "me") == mine
    assert await office.agents.find(theirs.agent_id) == theirs
    for ref in ("writer", theirs.agent_id):
        assert await office.agents.lookup(ref, "nobody") is None
    assert await office.agents.lookup(theirs.agent_id, "me") is None
    with pytest.raises(StandingAgentNotFound, match="Several users"):
        await office.agents.find("writer")
    assert [state.agent for state in await office.agents.agents("me")] == [mine]
    with pytest.raises(MessageNotFound):
        sent = await office.agents.send(theirs, "Secret.")
        await office.agents.message(mine, sent.message_id)


@pytest.mark.parametrize(
    ("changes", "error", "sentence"),
    [
        ({"name": "Writer"}, InputError, "small letters"),
        ({"name": "ccm-writer"}, InputError, "looks like that of a run"),
        ({"idle_s": 0.5}, InputError, "idle_s"),
        ({"idle_s": float("nan")}, InputError, "idle_s"),
        ({"profile": "no-such"}, UnknownProfile, "no-such"),
        ({"project": "no-such"}, UnknownProject, "no-such"),
    ],
)
async def test_what_cannot_be_is_refused(
    office: Office, changes: dict[str, Any], error: type[InputError], sentence: str
) -> None:
    with pytest.raises(error, match=sentence):
        await office.agents.create(replace(NewStandingAgent("writer"), **changes))
    assert office.workshops.made == set()


async def test_a_name_is_given_once(office: Office) -> None:
    await office.agents.create(NewStandingAgent("writer"))
    with pytest.raises(WrongStatus, match="already"):
        await office.agents.create(NewStandingAgent("writer"))


@pytest.mark.parametrize(
    ("changes", "error"),
    [({"idle_s": 0.1}, InputError), ({"budget_usd": 0.0}, InputError), ({"profile": "no-such"}, UnknownProfile)],
)
async def test_what_cannot_be_is_not_changed(office: Office, changes: dict[str, Any], error: type[InputError]) -> None:
    agent = await office.agents.create(NewStandingAgent("writer"))
    with pytest.raises(error):
        await office.agents.change(agent, changes)
    assert await office.store.agent(agent.agent_id) == agent


@pytest.mark.parametrize("text", ["", "  \n", "x" * 100_001])
async def test_what_cannot_be_sent_is_refused(office: Office, text: str) -> None:
    agent = await office.agents.create(NewStandingAgent("writer"))
    with pytest.raises(InputError):
        await office.agents.send(agent, text)
    assert await office.agents.messages(agent) == []
