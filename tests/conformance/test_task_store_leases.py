"""What every task store keeps: leases, fences, outcomes, and what becomes of the lost."""

from datetime import timedelta

import pytest

from ccm_orchestrator.domain.leasing import MAX_FENCES
from ccm_orchestrator.domain.result import CommandRun, GitChange, Outcome, Summary, TaskResult, Usage
from ccm_orchestrator.domain.task import Hold, HoldReason, LeaseKey, TaskStatus
from ccm_orchestrator.errors import (
    Fenced,
    WrongStatus,
)
from ccm_orchestrator.ports.tasks import FinishAnswer, LeaseAnswer, Release, ReleaseKind
from tests.stores import FAILED, GIVEN_BACK, GRACE_S, LEASE_S, SUCCEEDED, Queue


class TestLeases:
    async def test_renewing_extends_the_lease(self, queue: Queue) -> None:
        task = await queue.running()
        queue.clock.advance(LEASE_S - 1)
        assert await queue.renew(task) is LeaseAnswer.OK
        lease = (await queue.get(task)).lease
        assert lease is not None and lease.expires_at == queue.now() + timedelta(seconds=LEASE_S)

    async def test_one_call_renews_all_runs_and_answers_for_each(self, queue: Queue) -> None:
        good, wanted, ended = [await queue.running() for _ in range(3)]
        await queue.store.cancel(wanted.task_id)
        await queue.store.finish(ended.key, SUCCEEDED)
        keys = [good.key, wanted.key, ended.key, LeaseKey("no-such", 1)]
        assert await queue.store.renew("here", "here-boot", keys, LEASE_S) == {
            good.task_id: LeaseAnswer.OK,
            wanted.task_id: LeaseAnswer.CANCEL,
            ended.task_id: LeaseAnswer.FENCED,
            "no-such": LeaseAnswer.FENCED,
        }

    async def test_only_the_owner_renews(self, queue: Queue) -> None:
        task = await queue.running()
        assert await queue.renew(task, system="there") is LeaseAnswer.FENCED
        assert await queue.renew(task, boot="another start") is LeaseAnswer.FENCED

    async def test_beginning_is_idempotent_and_names_the_run(self, queue: Queue) -> None:
        await queue.add()
        claimed = await queue.claim_one()
        begun = await queue.store.begin(claimed.key, "run1")
        assert (begun.status, begun.run_id) == (TaskStatus.RUNNING, "run1")
        assert await queue.store.begin(claimed.key, "run1") == begun

    async def test_a_running_task_may_wait_and_run_again(self, queue: Queue) -> None:
        task = await queue.running()
        assert (await queue.store.mark(task.key, TaskStatus.WAITING)).status is TaskStatus.WAITING
        assert (await queue.store.begin(task.key, str(task.run_id))).status is TaskStatus.WAITING
        assert (await queue.store.mark(task.key, TaskStatus.WAITING)).status is TaskStatus.WAITING
        assert (await queue.store.mark(task.key, TaskStatus.RUNNING)).status is TaskStatus.RUNNING

    @pytest.mark.parametrize("status", [TaskStatus.QUEUED, TaskStatus.SUCCEEDED, TaskStatus.HELD])
    async def test_a_task_is_marked_running_or_waiting_only(self, queue: Queue, status: TaskStatus) -> None:
        task = await queue.running()
        with pytest.raises(WrongStatus):
            await queue.store.mark(task.key, status)

    async def test_a_stale_fence_can_do_nothing(self, queue: Queue) -> None:
        task = await queue.running()
        await queue.store.release(task.key, GIVEN_BACK)
        newer = await queue.claim_one()
        assert newer.fence > task.fence
        for refused in (
            queue.store.begin(task.key, "run2"),
            queue.store.mark(task.key, TaskStatus.WAITING),
            queue.store.release(task.key, GIVEN_BACK),
        ):
            with pytest.raises(Fenced):
                await refused
        assert await queue.store.adopt(task.key, "here", "boot2", LEASE_S) is LeaseAnswer.FENCED
        assert await queue.get(task) == newer


class TestFinishing:
    async def test_the_whole_result_is_kept(self, queue: Queue) -> None:
        task = await queue.running()
        result = TaskResult(
            Outcome.SUCCEEDED,
            "Done 🙂",
            summary=Summary(("a.py",), ("b.py",), (CommandRun("make", 0), CommandRun("x", None)), {"Bash": 2}, ("e",)),
            usage=Usage(1, 2, 3, 4, 0.125, "transcript"),
            git=GitChange("abc", "def", ("def One",), ("b.py",), "1 file changed"),
            duration_s=1.5,
            session_id="s1",
            transcript_path="/t.jsonl",
            run_id="run1",
            attempt=1,
        )
        assert await queue.store.finish(task.key, result) is FinishAnswer.RECORDED
        ended = await queue.get(task)
        assert (ended.status, ended.result, ended.lease) == (TaskStatus.SUCCEEDED, result, None)

    async def test_repeating_a_finish_changes_nothing(self, queue: Queue) -> None:
        task = await queue.running()
        await queue.store.finish(task.key, SUCCEEDED)
        ended = await queue.get(task)
        assert await queue.store.finish(task.key, FAILED) is FinishAnswer.ALREADY
        assert await queue.get(task) == ended
        assert await queue.store.late_results(task.task_id) == []

    async def test_a_finish_is_still_known_after_the_task_was_retried(self, queue: Queue) -> None:
        task = await queue.running()
        await queue.store.finish(task.key, FAILED)
        await queue.store.retry(task.task_id)
        assert await queue.store.finish(task.key, FAILED) is FinishAnswer.ALREADY
        assert (await queue.get(task)).status is TaskStatus.QUEUED

    async def test_a_late_result_is_refused_and_kept_once_as_evidence(self, queue: Queue) -> None:
        task = await queue.running()
        await queue.store.release(task.key, GIVEN_BACK)
        newer = await queue.claim_one()
        for _ in range(2):
            assert await queue.store.finish(task.key, SUCCEEDED) is FinishAnswer.FENCED
        assert await queue.get(task) == newer
        assert list(await queue.store.late_results(task.task_id)) == [(task.fence, SUCCEEDED)]

    async def test_a_result_for_a_task_given_back_is_late_too(self, queue: Queue) -> None:
        task = await queue.running()
        await queue.store.release(task.key, GIVEN_BACK)
        assert await queue.store.finish(task.key, SUCCEEDED) is FinishAnswer.FENCED
        assert (await queue.get(task)).status is TaskStatus.QUEUED

    async def test_an_orphan_can_still_be_finished_by_its_fence(self, queue: Queue) -> None:
        task = await queue.running()
        queue.clock.advance(LEASE_S)
        await queue.store.rescue("there", GRACE_S)
        assert await queue.store.finish(task.key, SUCCEEDED) is FinishAnswer.RECORDED

    async def test_after_a_cancel_request_only_success_is_not_recorded_as_cancelled(self, queue: Queue) -> None:
        lost, won = await queue.running(), await queue.running()
        for task, result in ((lost, FAILED), (won, SUCCEEDED)):
            await queue.store.cancel(task.task_id)
            await queue.store.finish(task.key, result)
        cancelled = await queue.get(lost)
        assert cancelled.status is TaskStatus.CANCELLED
        assert cancelled.result is not None and cancelled.result.outcome is Outcome.CANCELLED
        assert cancelled.result.failure == FAILED.failure
        assert (await queue.get(won)).status is TaskStatus.SUCCEEDED


class TestReleasing:
    @pytest.mark.parametrize(
        ("kind", "attempt", "infra_attempt"),
        [(ReleaseKind.VOLUNTARY, 1, 1), (ReleaseKind.ATTEMPT_FAILED, 2, 0), (ReleaseKind.INFRASTRUCTURE, 1, 2)],
    )
    async def test_the_kind_decides_which_tries_count(
        self, queue: Queue, kind: ReleaseKind, attempt: int, infra_attempt: int
    ) -> None:
        await queue.add()
        for spent in (ReleaseKind.ATTEMPT_FAILED, ReleaseKind.INFRASTRUCTURE):
            await queue.store.release((await queue.claim_one()).key, Release(spent, "earlier"))
        released = await queue.store.release((await queue.claim_one()).key, Release(kind, "now"))
        assert (released.status, released.lease) == (TaskStatus.QUEUED, None)
        assert (released.attempt, released.infra_attempt) == (attempt, infra_attempt)

    async def test_a_released_task_may_have_to_wait(self, queue: Queue) -> None:
        task = await queue.running()
        later = queue.now() + timedelta(seconds=30)
        await queue.store.release(task.key, Release(ReleaseKind.ATTEMPT_FAILED, "once more", later))
        assert await queue.claim() == []
        queue.clock.advance(30)
        assert (await queue.claim_one()).fence == task.fence + 1

    async def test_a_hold_parks_it_with_its_reason(self, queue: Queue) -> None:
        task = await queue.running()
        hold = Hold(HoldReason.BUDGET, "It cost 3 USD of 2: raise the budget.")
        held = await queue.store.release(task.key, Release(ReleaseKind.VOLUNTARY, "budget", hold=hold))
        assert (held.status, held.hold, held.lease) == (TaskStatus.HELD, hold, None)
        assert await queue.claim() == []
        assert await queue.get(task) == held

    async def test_a_requested_cancel_comes_first(self, queue: Queue) -> None:
        task = await queue.running()
        await queue.store.cancel(task.task_id)
        hold = Hold(HoldReason.BUDGET, "too dear")
        released = await queue.store.release(task.key, Release(ReleaseKind.VOLUNTARY, "x", hold=hold))
        assert (released.status, released.hold) == (TaskStatus.CANCELLED, None)

    async def test_a_task_that_never_ends_is_parked_at_last(self, queue: Queue) -> None:
        task = await queue.add()
        for fence in range(1, MAX_FENCES + 1):
            claimed = await queue.claim_one()
            assert claimed.fence == fence
            task = await queue.store.release(claimed.key, GIVEN_BACK)
        assert task.hold is not None and task.hold.reason is HoldReason.ATTEMPTS_EXHAUSTED
        assert f"{MAX_FENCES} times" in task.hold.detail
        await queue.store.unhold(task.task_id)
        again = await queue.store.release((await queue.claim_one()).key, GIVEN_BACK)
        assert (again.status, again.fence) == (TaskStatus.QUEUED, MAX_FENCES + 1)


class TestRescuing:
    async def test_a_lease_that_ran_out_makes_an_orphan_that_nobody_claims(self, queue: Queue) -> None:
        task = await queue.running()
        queue.clock.advance(LEASE_S - 1)
        assert await queue.store.rescue("here", GRACE_S) == []
        queue.clock.advance(1)
        (orphan,) = await queue.store.rescue("here", GRACE_S)
        assert (orphan.task_id, orphan.status, orphan.fence) == (task.task_id, TaskStatus.ORPHANED, task.fence)
        assert await queue.store.rescue("here", GRACE_S) == []
        assert await queue.claim() == []

    async def test_the_owner_adopts_its_orphan_with_the_same_fence(self, queue: Queue) -> None:
        task = await queue.running()
        queue.clock.advance(LEASE_S)
        await queue.store.rescue("here", GRACE_S)
        assert await queue.store.adopt(task.key, "here", "boot2", LEASE_S) is LeaseAnswer.OK
        adopted = await queue.get(task)
        assert (adopted.status, adopted.fence) == (TaskStatus.RUNNING, task.fence)
        assert await queue.renew(task, boot="boot2") is LeaseAnswer.OK
        assert await queue.renew(task) is LeaseAnswer.FENCED

    async def test_another_system_cannot_adopt(self, queue: Queue) -> None:
        task = await queue.running()
        assert await queue.store.adopt(task.key, "there", "boot", LEASE_S) is LeaseAnswer.FENCED

    async def test_adopting_tells_of_a_cancel_request(self, queue: Queue) -> None:
        task = await queue.running()
        await queue.store.cancel(task.task_id)
        assert await queue.store.adopt(task.key, "here", "boot2", LEASE_S) is LeaseAnswer.CANCEL

    async def test_renewing_an_orphan_in_time_lets_it_run_again(self, queue: Queue) -> None:
        task = await queue.running()
        queue.clock.advance(LEASE_S)
        await queue.store.rescue("there", GRACE_S)
        assert await queue.renew(task) is LeaseAnswer.OK
        assert (await queue.get(task)).status is TaskStatus.RUNNING

    async def test_an_orphan_of_a_silent_system_is_taken_over_with_a_raised_fence(self, queue: Queue) -> None:
        task = await queue.running()
        queue.beating = ["there"]
        await queue.pass_time(LEASE_S)
        await queue.store.rescue("there", GRACE_S)
        await queue.pass_time(GRACE_S - LEASE_S - 30)
        assert await queue.store.rescue("there", GRACE_S) == []
        await queue.pass_time(90)
        (rescued,) = await queue.store.rescue("there", GRACE_S)
        assert (rescued.status, rescued.fence, rescued.lease) == (TaskStatus.QUEUED, task.fence + 1, None)
        assert (rescued.attempt, rescued.infra_attempt) == (0, 1)
        newer = await queue.claim_one("there")
        assert newer.fence > task.fence
        assert await queue.renew(task) is LeaseAnswer.FENCED
        assert await queue.store.finish(task.key, SUCCEEDED) is FinishAnswer.FENCED

    async def test_an_orphan_of_a_system_that_still_reports_is_left_to_it(self, queue: Queue) -> None:
        task = await queue.running()
        queue.beating = ["there", "here"]
        await queue.pass_time(GRACE_S + LEASE_S)
        await queue.store.rescue("there", GRACE_S)
        assert await queue.store.rescue("there", GRACE_S) == []
        assert (await queue.get(task)).status is TaskStatus.ORPHANED

    async def test_after_an_outage_of_the_store_nobody_is_taken_over_before_a_full_grace(self, queue: Queue) -> None:
        await queue.running()
        queue.beating = ["there"]
        await queue.pass_time(GRACE_S)
        queue.clock.advance(3600)  # neither reached the store
        await queue.store.rescue("there", GRACE_S)
        assert await queue.store.rescue("there", GRACE_S) == []
        await queue.pass_time(GRACE_S - 30)
        assert await queue.store.rescue("there", GRACE_S) == []
        await queue.pass_time(60)
        assert len(await queue.store.rescue("there", GRACE_S)) == 1

    async def test_an_orphan_that_its_own_system_forgot_is_queued_by_it_after_the_grace(self, queue: Queue) -> None:
        await queue.running()
        queue.beating = ["here"]
        await queue.pass_time(LEASE_S)
        await queue.store.rescue("here", GRACE_S)
        await queue.pass_time(GRACE_S - 30)
        assert await queue.store.rescue("here", GRACE_S) == []
        await queue.pass_time(30)
        (rescued,) = await queue.store.rescue("here", GRACE_S)
        assert rescued.status is TaskStatus.QUEUED

    async def test_a_lost_task_that_was_to_be_cancelled_is_cancelled(self, queue: Queue) -> None:
        task = await queue.running()
        await queue.store.cancel(task.task_id)
        queue.beating = ["there"]
        await queue.pass_time(LEASE_S)
        await queue.store.rescue("there", GRACE_S)
        await queue.pass_time(GRACE_S + 30)
        (rescued,) = await queue.store.rescue("there", GRACE_S)
        assert rescued.status is TaskStatus.CANCELLED

    async def test_a_hold_with_a_time_ends_by_itself(self, queue: Queue) -> None:
        task = await queue.running()
        until = queue.now() + timedelta(seconds=100)
        hold = Hold(HoldReason.USAGE_LIMIT, "The limit resets soon.", until)
        await queue.store.release(task.key, Release(ReleaseKind.VOLUNTARY, "limit", hold=hold))
        queue.clock.advance(99)
        assert await queue.store.rescue("here", GRACE_S) == []
        queue.clock.advance(1)
        (released,) = await queue.store.rescue("here", GRACE_S)
        assert (released.status, released.hold, released.attempt) == (TaskStatus.QUEUED, None, 0)
