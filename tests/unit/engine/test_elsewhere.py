"""Two queues in one daemon: the embedded one, and one that is somewhere else and not always there."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ccm_orchestrator.domain.events import EventKind
from ccm_orchestrator.domain.run import Run, RunState
from ccm_orchestrator.domain.task import TaskStatus
from ccm_orchestrator.engine import courier, dispatcher, queues, roster
from ccm_orchestrator.errors import StoreRefused
from ccm_orchestrator.ports.tasks import Project
from tests.unit.engine.elsewhere import AWAY, Elsewhere
from tests.unit.engine.house import SHORT_S, House, house, shorten_waits


@pytest.fixture
def there(home: House) -> Elsewhere:
    store = Elsewhere(home.clock)
    home.remotes = [store.queue()]
    return store


@pytest.fixture
async def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[House]:
    shorten_waits(monkeypatch)
    for module, name in (
        (queues, "UNAVAILABLE_PAUSE_S"),
        (queues, "REFUSED_PAUSE_S"),
        (courier, "LOOK_S"),
        (dispatcher, "REMOTE_WAIT_S"),
        (roster, "AGAIN_S"),
    ):
        monkeypatch.setattr(module, name, SHORT_S)
    async with house(tmp_path) as built:
        yield built


async def added(there: Elsewhere, home: House, prompt: str = "Do it there.") -> str:
    await there.add_project(Project("demo", home.project))
    return await there.add(prompt)


async def run_of(home: House, task_id: str) -> Run:
    async def claimed() -> bool:
        return bool(await home.runs(task_id))

    await home.until(claimed, f"a run of {task_id}")
    return await home.run_of(task_id)


async def working(home: House, there: Elsewhere) -> Run:
    """The run of a task from there, whose agent works."""
    task_id = await added(there, home)
    run = await run_of(home, task_id)

    async def started() -> bool:
        return (await home.run_of(task_id)).state is RunState.RUNNING

    await home.until(started, "a running agent")
    home.says(run, "prompt_accepted")
    await home.until_state(run, "working")
    return await home.run_of(task_id)


async def until_there(home: House, there: Elsewhere, task_id: str, wanted: TaskStatus) -> None:
    async def reached() -> bool:
        return await there.status(task_id) is wanted

    await home.until(reached, f"{wanted} of {task_id} there")


async def test_one_daemon_serves_both_queues_and_tells_each_its_own_outcomes(home: House, there: Elsewhere) -> None:
    await home.start()
    remote, local = await working(home, there), await home.running()
    await until_there(home, there, remote.task_id, TaskStatus.RUNNING)
    assert (remote.store, local.store) == ("supabase", "local")
    for run in (remote, local):
        home.says(run, "prompt_accepted")
        home.says(run, "turn_ended", f"Done by {run.name}.")
    await home.until_status(local.task_id, TaskStatus.SUCCEEDED)
    await until_there(home, there, remote.task_id, TaskStatus.SUCCEEDED)
    result = (await there.get(remote.task_id)).result
    assert result is not None and result.text == f"Done by {remote.name}."
    assert await home.outbox.deeds("supabase") == []
    assert await home.outbox.kept_task(remote.run_id) is None


async def test_what_is_known_of_a_task_is_kept_while_its_run_goes_on(home: House, there: Elsewhere) -> None:
    await home.start()
    run = await working(home, there)
    await until_there(home, there, run.task_id, TaskStatus.RUNNING)
    there.trouble = AWAY

    async def kept_as(status: TaskStatus) -> bool:
        kept = await home.outbox.kept_task(run.run_id)
        return kept is not None and kept.status is status

    await home.until(lambda: kept_as(TaskStatus.RUNNING), "the task as it was last heard of")
    there.trouble = None
    home.says(run, "asked", "permission")
    await home.until(lambda: kept_as(TaskStatus.WAITING), "the news of it")
    there.take_over(run.task_id)
    await home.until_ended(run)
    assert await home.outbox.kept_task(run.run_id) is None


async def test_events_and_figures_are_told_in_order_and_only_of_its_own_tasks(home: House, there: Elsewhere) -> None:
    await home.start()
    local, remote = await home.running(), await working(home, there)
    home.says(remote, "turn_ended", "Done.")
    await until_there(home, there, remote.task_id, TaskStatus.SUCCEEDED)
    await home.until(lambda: EventKind.TASK_SUCCEEDED in there.kinds(), "the last event")
    assert {stored.event.task_id for stored in there.events} == {remote.task_id} != {local.task_id}
    kinds = there.kinds()
    assert kinds.index(EventKind.TASK_CLAIMED) < kinds.index(EventKind.TASK_RUNNING) < len(kinds) - 1
    assert [s.seq for s in there.events] == sorted({s.seq for s in there.events})
    assert there.metrics and there.metrics[0].data["max_agents"] == 3


async def test_while_it_is_away_its_agents_go_on_places_become_free_and_nothing_is_lost(
    home: House, there: Elsewhere
) -> None:
    await home.start()
    run = await working(home, there)
    there.trouble = AWAY
    home.says(run, "asked", "permission")
    await home.until_state(run, "waiting")
    home.says(run, "prompt_accepted")
    home.says(run, "turn_ended", "Done meanwhile.")
    ended = await home.until_ended(run)
    assert ended.outcome == "succeeded"
    for _ in range(3):  # all places are free again
        await home.running()
    assert await there.status(run.task_id) is not TaskStatus.SUCCEEDED
    home.clock.advance(80)
    there.trouble = None
    await until_there(home, there, run.task_id, TaskStatus.SUCCEEDED)
    await home.until(lambda: EventKind.TASK_SUCCEEDED in there.kinds(), "the last event")
    assert there.kinds().count(EventKind.TASK_SUCCEEDED) == 1


async def test_a_failed_attempt_is_given_back_when_the_store_returns(home: House, there: Elsewhere) -> None:
    await home.start()
    run = await working(home, there)
    there.trouble = AWAY
    home.says(run, "turn_failed", "Overloaded.", failure_kind="overloaded")
    await home.until_ended(run)
    there.trouble = None
    await until_there(home, there, run.task_id, TaskStatus.QUEUED)
    assert (await there.get(run.task_id)).infra_attempt == 1


async def test_a_daemon_that_comes_back_while_it_is_away_adopts_the_agent_and_tells_later(
    home: House, there: Elsewhere
) -> None:
    daemon = await home.start()
    run = await working(home, there)
    home.clock.advance(61)
    await daemon.vanish()
    there.trouble = AWAY
    await home.start()
    await home.until(lambda: run.run_id in home.watch.runs, "adoption")
    home.says(run, "turn_ended", "Done by an adopted agent.")
    await home.until_ended(run)
    assert len(await home.runs(run.task_id)) == 1
    there.trouble = None
    await until_there(home, there, run.task_id, TaskStatus.SUCCEEDED)
    assert "adopt" in there.calls


async def test_what_was_noted_before_the_daemon_died_is_told_once(home: House, there: Elsewhere) -> None:
    daemon = await home.start()
    run = await working(home, there)
    there.trouble = AWAY
    home.says(run, "turn_ended", "Done.")
    await home.until_ended(run)
    await daemon.vanish()
    there.trouble = None
    there.calls.clear()
    there.answers_lost = {"finish"}
    await home.start()
    await until_there(home, there, run.task_id, TaskStatus.SUCCEEDED)

    async def told() -> bool:
        return not await home.outbox.deeds("supabase")

    await home.until(told, "an empty outbox")
    assert there.calls.count("finish") == 2
    assert (await home.kinds(run.task_id)).count(EventKind.TASK_SUCCEEDED) == 1
    assert list(await there.late_results(run.task_id)) == []


async def test_a_deed_whose_run_was_not_put_away_is_not_done_again(home: House, there: Elsewhere) -> None:
    daemon = await home.start()
    run = await working(home, there)
    there.trouble = AWAY
    kept = await home.outbox.kept_task(run.run_id)
    home.says(run, "turn_ended", "Done.")
    ended = await home.until_ended(run)
    await daemon.vanish()
    assert kept is not None  # as if the daemon had died right after it noted the deed
    await home.outbox.keep_task(run.run_id, kept)
    await home.journal.save_run(run, ended.term)
    await home.start()
    again = await home.until_ended(run)
    assert (again.outcome, again.ending) == ("succeeded", "succeeded")
    assert len(await home.outbox.deeds("supabase")) == 1
    there.trouble = None
    await until_there(home, there, run.task_id, TaskStatus.SUCCEEDED)


async def test_an_outcome_that_comes_after_a_takeover_changes_nothing_and_is_kept(
    home: House, there: Elsewhere
) -> None:
    await home.start()
    run = await working(home, there)
    there.trouble = AWAY
    home.says(run, "turn_ended", "Too late.")
    await home.until_ended(run)
    there.take_over(run.task_id)
    there.trouble = None
    await home.until(lambda: EventKind.TASK_FENCED in there.kinds(), "a fenced outcome")
    ((fence, late),) = await there.late_results(run.task_id)
    assert (fence, late.text) == (run.fence, "Too late.")
    assert await there.status(run.task_id) is not TaskStatus.SUCCEEDED


async def test_an_agent_whose_task_was_taken_over_meanwhile_is_ended(home: House, there: Elsewhere) -> None:
    daemon = await home.start()
    run = await working(home, there)
    there.trouble = AWAY
    await daemon.vanish()
    there.take_over(run.task_id)
    await home.start()
    assert home.agent(run).agent_alive
    there.trouble = None
    await home.until_ended(run)
    assert not home.agent(run).agent_alive
    assert (await home.journal.run(run.run_id)).outcome is None


async def test_a_claim_whose_answer_is_lost_is_asked_for_again_and_started_once(home: House, there: Elsewhere) -> None:
    there.answers_lost = {"claim"}
    await home.start()
    run = await working(home, there)
    assert run.fence == 1 and len(await home.runs(run.task_id)) == 1
    assert await home.journal.open_claims() == []


async def test_nothing_is_started_on_a_lease_that_ran_out_before_its_answer_came(home: House, there: Elsewhere) -> None:
    there.slow_claim_s = 3600.0
    await home.start()
    task_id = await added(there, home)
    run = await run_of(home, task_id)
    await home.until(lambda: there.calls.count("renew") > 2, "renewals")
    assert await there.status(task_id) in (TaskStatus.CLAIMED, TaskStatus.RUNNING)  # confirmed first, then started
    await home.until(lambda: run.run_id in home.pad.runs, "a launch after the confirmation")


async def test_a_store_that_refuses_stops_claims_and_nothing_else(home: House, there: Elsewhere) -> None:
    await home.start()
    run = await working(home, there)
    there.trouble = StoreRefused("The key was revoked: set a new one.")
    untouched = await there.add("Later.")
    home.says(run, "turn_ended", "Done.")
    await home.until_ended(run)
    await home.running()
    await home.settled()
    assert await home.runs(untouched) == []
    there.trouble = None
    await until_there(home, there, run.task_id, TaskStatus.SUCCEEDED)
    await run_of(home, untouched)


async def test_agents_of_a_store_that_is_not_configured_any_more_are_left_alone(home: House, there: Elsewhere) -> None:
    daemon = await home.start()
    run = await working(home, there)
    await daemon.vanish()
    home.remotes = []
    await home.start()
    await home.settled()
    assert home.agent(run).agent_alive
    assert (await home.journal.run(run.run_id)).state is RunState.RUNNING
    assert EventKind.DAEMON_INCIDENT in await home.kinds(run.task_id)
    home.remotes = [there.queue()]
    await home.start()
    await home.until(lambda: run.run_id in home.watch.runs, "adoption")


async def test_cancelling_there_reaches_the_agent(home: House, there: Elsewhere) -> None:
    await home.start()
    run = await working(home, there)
    await there.cancel(run.task_id)
    await until_there(home, there, run.task_id, TaskStatus.CANCELLED)
    assert not home.agent(run).agent_alive
