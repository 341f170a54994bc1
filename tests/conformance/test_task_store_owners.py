"""For whom a task is, and what it changes in its profile: kept by the stores of one machine."""

from pathlib import Path

import pytest

from ccm_orchestrator.domain.options import RunOptions
from ccm_orchestrator.ports.tasks import TaskQuery
from tests.stores import FAILED, Queue

LOCAL = pytest.mark.parametrize("task_store_factory", ["memory", "sqlite"], indirect=True)
OPTIONS = RunOptions(
    session_id="5b9c4ad2-6f43-4a0e-93b1-8e8c6e3f7a11",
    resume=True,
    print_mode=True,
    allowed_tools=("Read", "Bash(git log:*)"),
    system_prompt="Be brief.",
    flags=("--add-dir", "/srv"),
    directory=Path("/srv/demo/one"),
    linger_s=600.0,
)


@LOCAL
async def test_options_and_owner_are_kept_through_a_whole_life(queue: Queue) -> None:
    added = await queue.add(options=OPTIONS, owner="anna")
    claimed = await queue.claim_one()
    assert claimed.task_id == added.task_id
    begun = await queue.store.begin(claimed.key, "run")
    for task in (added, claimed, begun, await queue.get(added)):
        assert (task.options, task.owner) == (OPTIONS, "anna")


@LOCAL
async def test_a_list_of_one_users_tasks_has_no_others(queue: Queue) -> None:
    for owner in ("anna", "bert", None, "anna"):
        await queue.add(owner=owner)
    assert [task.owner for task in await queue.store.list(TaskQuery(owner="anna"))] == ["anna", "anna"]
    assert await queue.store.list(TaskQuery(owner="carl")) == []
    assert len(await queue.store.list(TaskQuery())) == 4
    counted = [sum((await queue.store.counts(owner)).values()) for owner in ("anna", "carl", None)]
    assert counted == [2, 0, 4]


@LOCAL
async def test_the_next_turn_of_a_session_waits_for_the_end_of_the_one_before_whatever_it_is(queue: Queue) -> None:
    turn = RunOptions(session_id=OPTIONS.session_id)
    first = await queue.add(options=turn)
    second = await queue.add(options=turn, after=(first.task_id,))
    third = await queue.add(options=turn, after=(second.task_id,))
    assert (await queue.claim_one()).task_id == first.task_id
    assert await queue.claim() == []
    running = await queue.store.begin((await queue.get(first)).key, "run")
    await queue.store.finish(running.key, FAILED)
    assert await queue.store.cancel(second.task_id)
    assert (await queue.claim_one()).task_id == third.task_id


@pytest.mark.parametrize("task_store_factory", ["supabase"], indirect=True)
async def test_a_store_that_knows_its_users_itself_lists_nothing_for_one_that_we_name(queue: Queue) -> None:
    await queue.add()
    assert list(await queue.store.list(TaskQuery(owner="anna"))) == []
    assert not any((await queue.store.counts("anna")).values()) and any((await queue.store.counts()).values())
