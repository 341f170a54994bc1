"""Agents that only rest give their places to tasks, and never more agents live than there are places."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from ccm_orchestrator.domain.dialogue import MessageStatus
from ccm_orchestrator.domain.run import Run
from ccm_orchestrator.domain.standing_agent import StandingAgent, StandingStatus
from ccm_orchestrator.domain.task import TaskStatus
from ccm_orchestrator.engine import dispatcher
from ccm_orchestrator.engine.lingering import YIELD_AFTER_S
from ccm_orchestrator.engine.standing_agents import NewStandingAgent
from tests.unit.engine.house import LIMITS, SHORT_S, house, shorten_waits
from tests.unit.engine.office import Office


@pytest.fixture
async def office(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> AsyncIterator[Office]:
    """With one place."""
    shorten_waits(monkeypatch)
    monkeypatch.setattr(dispatcher, "PLACE_LOOK_S", SHORT_S)
    async with house(tmp_path, replace(LIMITS, max_agents=1)) as home:
        built = Office(home, tmp_path / "agents")
        await built.open()
        yield built
        await built.close()


async def awake(office: Office, name: str = "writer") -> tuple[StandingAgent, Run]:
    agent = await office.agents.create(NewStandingAgent(name))
    sent = await office.agents.send(agent, "Greet.")
    run = await office.run_of(agent)
    await office.takes(run, "Greet.")
    await office.answers(run, "Hello.")
    await office.until_message(agent, sent, MessageStatus.ANSWERED)
    return agent, run


async def test_a_resting_agent_gives_its_place_to_a_task_and_is_woken_by_its_next_message(office: Office) -> None:
    agent, first = await awake(office)
    task_id = await office.home.add()
    await office.home.settled()
    assert await office.home.status(task_id) is TaskStatus.QUEUED, "who talks to it may say more"
    office.home.clock.advance(YIELD_AFTER_S)
    await office.home.until_status(task_id, TaskStatus.RUNNING)
    assert (await office.home.journal.run(first.run_id)).ended_at is not None
    await office.until_status(agent, StandingStatus.HIBERNATING)
    sent = await office.agents.send(agent, "Still there?")
    office.home.says(await office.home.run_of(task_id), "turn_ended", "Done.")
    await office.home.until_status(task_id, TaskStatus.SUCCEEDED)
    again = await office.run_of(agent)
    await office.takes(again, "Still there?")
    await office.answers(again, "Yes.")
    assert (await office.until_message(agent, sent, MessageStatus.ANSWERED)).tries == 1


async def test_it_gives_its_place_to_another_standing_agent_too(office: Office) -> None:
    agent, _ = await awake(office)
    office.home.clock.advance(YIELD_AFTER_S)
    await awake(office, "reader")
    await office.until_status(agent, StandingStatus.HIBERNATING)


async def test_one_that_works_keeps_its_place(office: Office) -> None:
    agent, run = await awake(office)
    await office.agents.send(agent, "Count.")
    await office.home.until(lambda: office.home.typed(run), "a typed message")
    await office.takes(run, "Count.")
    office.home.clock.advance(YIELD_AFTER_S)
    task_id = await office.home.add()
    await office.home.settled()
    assert await office.home.status(task_id) is TaskStatus.QUEUED


async def test_a_message_that_comes_first_keeps_the_place_and_the_task_waits(office: Office) -> None:
    agent, run = await awake(office)
    sent = await office.agents.send(agent, "Count.")
    await office.home.until(lambda: office.home.typed(run), "a typed message")
    office.home.clock.advance(YIELD_AFTER_S)
    task_id = await office.home.add()
    await office.home.until_status(task_id, TaskStatus.CLAIMED)
    await office.takes(run, "Count.")
    await office.home.until_status(task_id, TaskStatus.QUEUED)
    await office.answers(run, "One.")
    assert (await office.until_message(agent, sent, MessageStatus.ANSWERED)).answer == "One."
    assert (await office.home.store.get(task_id)).attempt == 0
