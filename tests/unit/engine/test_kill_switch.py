"""Stopping everything: agents end within seconds, nothing new begins, and no store that is away matters."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from ccm_orchestrator.domain.run import Run
from ccm_orchestrator.domain.task import Task, TaskStatus
from ccm_orchestrator.engine import courier, dispatcher, kill_switch, queues
from ccm_orchestrator.engine.kill_switch import KillSwitch
from ccm_orchestrator.engine.queues import Queues
from ccm_orchestrator.errors import StoreUnavailable
from ccm_orchestrator.ports.systems import SystemInfo
from ccm_orchestrator.ports.tasks import ClaimRequest, Project
from tests.unit.engine.elsewhere import AWAY, Elsewhere
from tests.unit.engine.house import SHORT_S, Daemon, House, house, shorten_waits


@pytest.fixture
async def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[House]:
    shorten_waits(monkeypatch)
    for module, name in (
        (queues, "UNAVAILABLE_PAUSE_S"),
        (courier, "LOOK_S"),
        (dispatcher, "REMOTE_WAIT_S"),
        (kill_switch, "LOOK_S"),
    ):
        monkeypatch.setattr(module, name, SHORT_S)
    async with house(tmp_path) as built:
        yield built


@pytest.fixture
async def there(home: House) -> Elsewhere:
    store = Elsewhere(home.clock)
    home.remotes = [store.queue()]
    await store.add_project(Project("demo", home.project))
    return store


def switch(home: House, daemon: Daemon | None = None) -> KillSwitch:
    poke = daemon.orchestrator.poke if daemon else lambda: None
    return KillSwitch(Queues(home.store, home.remotes), home.journal, home.pad, home.clock, poke)


async def working(home: House, task_id: str) -> Run:
    async def started() -> bool:
        return any([home.agent(run).agent_alive for run in await home.runs(task_id) if run.run_id in home.pad.runs])

    await home.until(started, f"an agent for {task_id}")
    return await home.run_of(task_id)


async def test_every_agent_ends_its_task_is_cancelled_and_nothing_new_begins(home: House) -> None:
    daemon = await home.start()
    runs = [await home.running(), await home.running()]
    stopped = await switch(home, daemon).stop_all("here")
    assert sorted(stopped.agents) == sorted(run.name for run in runs)
    assert (list(stopped.surviving), list(stopped.untold)) == ([], [])
    assert not any(home.agent(run).agent_alive for run in runs)
    for run in runs:
        await home.until_status(run.task_id, TaskStatus.CANCELLED)
    waiting = await home.add("Later.")
    await home.settled()
    assert await home.status(waiting) is TaskStatus.QUEUED and await home.runs(waiting) == []
    await home.store.drain("here", False)
    await home.until_status(waiting, TaskStatus.RUNNING)


async def test_a_machine_on_which_no_daemon_ever_ran_begins_nothing_either(home: House) -> None:
    stopped = await switch(home).stop_all("new")
    assert list(stopped.untold) == []
    (system,) = [each for each in await home.store.systems() if each.system_id == "new"]
    assert system.draining
    await home.store.register_system(SystemInfo("new", "new", "1", 2), "boot")
    (system,) = [each for each in await home.store.systems() if each.system_id == "new"]
    assert system.draining, "the first daemon finds it drained"


async def test_attack_54_agents_of_a_store_that_is_away_end_and_their_tasks_are_cancelled_when_it_is_back(
    home: House, there: Elsewhere
) -> None:
    daemon = await home.start()
    task_id = await there.add()
    run = await working(home, task_id)
    there.trouble = AWAY
    stopped = await switch(home, daemon).stop_all("here")
    assert (list(stopped.agents), list(stopped.untold)) == ([run.name], ["supabase"])
    assert not home.agent(run).agent_alive
    await home.until_ended(run)
    second = await there.add("Not now.")
    there.trouble = None

    async def cancelled() -> bool:
        return await there.status(task_id) is TaskStatus.CANCELLED

    await home.until(cancelled, "a cancelled task")
    await home.settled()
    assert await there.status(second) is TaskStatus.QUEUED, "the machine claims nothing, though nobody told the store"


async def test_an_agent_that_ignores_everything_is_killed(home: House, monkeypatch: pytest.MonkeyPatch) -> None:
    daemon = await home.start()
    run = await home.running()
    home.agent(run).deaf_to |= {signal.SIGTERM, signal.SIGINT}
    monkeypatch.setattr(kill_switch, "POLITE_S", -1.0)
    stopped = await switch(home, daemon).stop_all("here")
    assert (list(stopped.agents), list(stopped.surviving)) == ([run.name], [])
    assert home.agent(run).received[-1] is signal.SIGKILL


async def test_a_journal_that_is_away_keeps_no_agent_alive(home: House, monkeypatch: pytest.MonkeyPatch) -> None:
    daemon = await home.start()
    run = await home.running()

    async def away(_query: object) -> None:
        raise StoreUnavailable("The disk is full.")

    with monkeypatch.context() as patch:
        patch.setattr(home.journal, "runs", away)
        stopped = await switch(home, daemon).stop_all("here")
    assert list(stopped.agents) == [run.name] and not home.agent(run).agent_alive
    await home.until_status(run.task_id, TaskStatus.CANCELLED)


async def test_what_is_stopped_while_no_daemon_runs_is_cancelled_by_the_next_one(home: House, there: Elsewhere) -> None:
    daemon = await home.start()
    here, away = await home.running(), await working(home, await there.add())
    await daemon.vanish()
    stopped = await switch(home).stop_all("here")
    assert len(stopped.agents) == 2
    await home.start()
    await home.until_status(here.task_id, TaskStatus.CANCELLED)

    async def cancelled() -> bool:
        return await there.status(away.task_id) is TaskStatus.CANCELLED

    await home.until(cancelled, "a cancelled task")


async def test_what_vanished_after_it_was_condemned_is_not_tried_again(home: House, there: Elsewhere) -> None:
    daemon = await home.start()
    here, away = await home.running(), await working(home, await there.add())
    await daemon.vanish()
    for run in (here, away):
        await home.pad.condemn(run.run_id)
        home.pad.vanish(run.run_id)
    await home.start()
    await home.until_status(here.task_id, TaskStatus.CANCELLED)

    async def cancelled() -> bool:
        return await there.status(away.task_id) is TaskStatus.CANCELLED

    await home.until(cancelled, "a cancelled task")


async def test_with_no_agent_there_is_nothing_to_end(home: House) -> None:
    daemon = await home.start()
    stopped = await switch(home, daemon).stop_all("here")
    assert (list(stopped.agents), list(stopped.surviving)) == ([], [])


async def test_a_claim_that_is_answered_after_everything_was_stopped_starts_no_agent(
    home: House, there: Elsewhere
) -> None:
    task_id = await there.add()
    claim = there.claim

    async def slow(request: ClaimRequest) -> Sequence[Task]:
        claimed = await claim(request)
        await home.store.drain("here", True)  # everything is stopped while the answer is on its way
        return claimed

    there.claim = slow  # type: ignore[method-assign]
    await home.start()

    async def handed_back() -> bool:
        return "release" in there.calls

    await home.until(handed_back, "a task that is handed back")
    await home.settled()
    assert await there.status(task_id) is TaskStatus.QUEUED and await home.runs(task_id) == []
