"""What every task store keeps: who gets which task, in which order, and who is woken."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path

import pytest

from ccm_orchestrator.domain.task import HoldReason, TaskStatus
from ccm_orchestrator.ports.tasks import LeaseAnswer, Project
from tests.stores import FAILED, GIVEN_BACK, GRACE_S, LEASE_S, SUCCEEDED, Queue


class TestClaiming:
    async def test_a_claim_gives_a_lease_a_fence_and_counts_an_attempt(self, queue: Queue) -> None:
        await queue.add()
        task = await queue.claim_one()
        assert task.lease is not None
        assert (task.lease.system_id, task.lease.boot_id) == ("here", "here-boot")
        assert task.lease.expires_at == queue.now() + timedelta(seconds=LEASE_S)
        assert (task.status, task.fence, task.attempt) == (TaskStatus.CLAIMED, 1, 1)
        assert await queue.get(task) == task

    async def test_a_task_is_claimed_once(self, queue: Queue) -> None:
        for _ in range(6):
            await queue.add()
        claims = await asyncio.gather(*(queue.claim(2, f"system-{n}") for n in range(5)))
        ids = [task.task_id for claim in claims for task in claim]
        assert len(ids) == len(set(ids)) == 6

    async def test_repeating_a_request_gives_the_same_tasks_with_the_same_fences(self, queue: Queue) -> None:
        for _ in range(4):
            await queue.add()
        first = await queue.claim(2, request="r1")
        again = await queue.claim(2, request="r1")
        assert {task.key for task in again} == {task.key for task in first}
        assert all(task.attempt == 1 for task in again)

    async def test_concurrent_repetitions_of_one_request_claim_once(self, queue: Queue) -> None:
        for _ in range(4):
            await queue.add()
        answers = await asyncio.gather(*(queue.claim(2, request="r1") for _ in range(8)))
        assert len({task.key for answer in answers for task in answer}) == 2

    async def test_a_repeated_request_leaves_out_what_has_begun_and_claims_nothing_new(self, queue: Queue) -> None:
        for _ in range(4):
            await queue.add()
        begun, other = await queue.claim(2, request="r1")
        await queue.store.begin(begun.key, "run1")
        assert [task.key for task in await queue.claim(2, request="r1")] == [other.key]
        await queue.store.release(other.key, GIVEN_BACK)
        assert await queue.claim(2, request="r1") == []

    @pytest.mark.parametrize("way", ["mark", "adopt"])
    async def test_a_repeated_request_leaves_out_what_is_known_to_run(self, queue: Queue, way: str) -> None:
        await queue.add()
        (task,) = await queue.claim(request="r1")
        if way == "mark":
            await queue.store.mark(task.key, TaskStatus.RUNNING)
        else:
            await queue.store.adopt(task.key, "here", "boot2", LEASE_S)
        assert await queue.claim(request="r1") == []

    async def test_a_repeated_request_brings_back_a_claim_that_ran_out(self, queue: Queue) -> None:
        await queue.add()
        (task,) = await queue.claim(request="r1")
        queue.clock.advance(LEASE_S)
        await queue.store.rescue("here", GRACE_S)
        (again,) = await queue.claim(request="r1")
        assert (again.key, again.status) == (task.key, TaskStatus.CLAIMED)
        assert again.lease is not None and again.lease.expires_at == queue.now() + timedelta(seconds=LEASE_S)

    async def test_a_request_that_found_nothing_may_be_sent_again(self, queue: Queue) -> None:
        assert await queue.claim(request="r1") == []
        await queue.add()
        assert len(await queue.claim(request="r1")) == 1

    async def test_higher_priority_goes_first_then_age(self, queue: Queue) -> None:
        low, high, low2, high2 = [await queue.add(priority=p) for p in (0, 5, 0, 5)]
        claimed = [(await queue.claim_one()).task_id for _ in range(4)]
        assert claimed == [high.task_id, high2.task_id, low.task_id, low2.task_id]

    async def test_the_project_with_fewest_leased_tasks_goes_first(self, queue: Queue) -> None:
        await queue.store.add_project(Project("other", Path("/other")))
        for _ in range(3):
            await queue.add()
        await queue.claim(2)
        late = await queue.add(project="other")
        assert (await queue.claim_one()).task_id == late.task_id

    async def test_one_batch_is_shared_between_projects(self, queue: Queue) -> None:
        await queue.store.add_project(Project("other", Path("/other")))
        for project in ("demo", "demo", "demo", "demo", "other", "other"):
            await queue.add(project=project)
        assert [task.project for task in await queue.claim(4)] == ["demo", "other", "demo", "other"]

    async def test_priority_counts_more_than_fairness(self, queue: Queue) -> None:
        await queue.store.add_project(Project("other", Path("/other")))
        for _ in range(2):
            await queue.add(priority=1)
        await queue.add(project="other")
        assert [task.project for task in await queue.claim(2)] == ["demo", "demo"]

    async def test_a_task_is_not_claimed_before_its_time(self, queue: Queue) -> None:
        await queue.add(run_after=queue.now() + timedelta(seconds=10))
        assert await queue.claim() == []
        queue.clock.advance(10)
        assert len(await queue.claim()) == 1

    async def test_a_task_meant_for_another_system_is_left_to_it(self, queue: Queue) -> None:
        await queue.add(system_id="there")
        assert await queue.claim(system="here") == []
        assert len(await queue.claim(system="there")) == 1

    async def test_a_count_of_nothing_claims_nothing(self, queue: Queue) -> None:
        await queue.add()
        assert await queue.claim(0) == []

    async def test_a_draining_system_claims_nothing_and_is_told(self, queue: Queue) -> None:
        task = await queue.running()
        await queue.add()
        await queue.store.drain("here")
        assert await queue.claim() == []
        assert await queue.renew(task) is LeaseAnswer.DRAIN
        await queue.store.drain("here", False)
        assert len(await queue.claim()) == 1
        assert await queue.renew(task) is LeaseAnswer.OK


class TestDependencies:
    async def test_a_task_waits_until_all_it_waits_for_succeeded(self, queue: Queue) -> None:
        one, two = await queue.add(), await queue.add()
        await queue.add(task_id="last", after=(one.task_id, two.task_id))
        for claimed in await queue.claim(5):
            assert await queue.claim() == []
            await queue.store.finish(claimed.key, SUCCEEDED)
        assert [task.task_id for task in await queue.claim(5)] == ["last"]

    @pytest.mark.parametrize("end", ["failed", "cancelled"])
    async def test_a_task_whose_dependency_did_not_succeed_is_held_with_the_reason(
        self, queue: Queue, end: str
    ) -> None:
        first = await queue.running()
        last = await queue.add(after=(first.task_id,))
        if end == "cancelled":
            await queue.store.cancel(first.task_id)
        await queue.store.finish(first.key, FAILED)
        assert await queue.claim() == []
        hold = (await queue.get(last)).hold
        assert hold is not None and hold.reason is HoldReason.DEPENDENCY
        assert first.task_id in hold.detail

    async def test_retrying_the_dependency_lets_the_held_task_wait_again(self, queue: Queue) -> None:
        first = await queue.running()
        last = await queue.add(after=(first.task_id,))
        await queue.store.finish(first.key, FAILED)
        await queue.claim()
        assert await queue.store.rescue("here", GRACE_S) == []
        await queue.store.retry(first.task_id)
        (released,) = await queue.store.rescue("here", GRACE_S)
        assert (released.task_id, released.status) == (last.task_id, TaskStatus.QUEUED)
        retried = await queue.claim_one()
        await queue.store.finish(retried.key, SUCCEEDED)
        assert (await queue.claim_one()).task_id == last.task_id

    async def test_a_queued_task_of_a_removed_project_is_held_as_invalid(self, queue: Queue) -> None:
        task = await queue.add()
        await queue.store.cancel(task.task_id)
        await queue.store.remove_project("demo")
        await queue.store.retry(task.task_id)
        assert await queue.claim() == []
        hold = (await queue.get(task)).hold
        assert hold is not None and hold.reason is HoldReason.INVALID
        assert "'demo'" in hold.detail and "project add" in hold.detail


class TestChanges:
    async def test_nothing_new_is_noticed_by_the_timeout(self, queue: Queue) -> None:
        await queue.claim()
        assert await queue.store.wait_for_change(0.05) is False

    async def test_a_task_added_while_waiting_wakes_at_once(self, queue: Queue) -> None:
        await queue.claim()
        waiting = asyncio.ensure_future(queue.store.wait_for_change(30))
        await asyncio.sleep(0)
        began = time.monotonic()
        await queue.add()
        assert await waiting is True
        assert time.monotonic() - began < 5

    async def test_a_change_between_claim_and_wait_is_not_missed(self, queue: Queue) -> None:
        await queue.claim()
        await queue.add()
        assert await queue.store.wait_for_change(30) is True
        assert await queue.store.wait_for_change(0.05) is False

    @pytest.mark.parametrize("change", ["cancel", "release", "finish", "retry"])
    async def test_whatever_makes_something_claimable_or_cancelled_is_a_change(self, queue: Queue, change: str) -> None:
        task = await queue.running()
        ended = await queue.running()
        await queue.store.finish(ended.key, FAILED)
        await queue.claim()
        changes: dict[str, Callable[[], Awaitable[object]]] = {
            "cancel": lambda: queue.store.cancel(task.task_id),
            "release": lambda: queue.store.release(task.key, GIVEN_BACK),
            "finish": lambda: queue.store.finish(task.key, SUCCEEDED),
            "retry": lambda: queue.store.retry(ended.task_id),
        }
        await changes[change]()
        assert await queue.store.wait_for_change(30) is True

    async def test_renewals_and_claims_are_no_changes(self, queue: Queue) -> None:
        await queue.add()
        (task,) = await queue.claim()
        await queue.store.begin(task.key, "run1")
        await queue.renew(task)
        assert await queue.store.wait_for_change(0.05) is False
