"""What every task store keeps, whatever it is made of: accepting, looking, the wishes of people."""

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest

from ccm_orchestrator.domain.task import Hold, HoldReason, NewTask, TaskStatus
from ccm_orchestrator.errors import (
    InvalidProject,
    InvalidTask,
    NotFound,
    QueueFull,
    TaskNotFound,
    UnknownDependency,
    UnknownProject,
    WrongStatus,
)
from ccm_orchestrator.ports.tasks import LeaseAnswer, Project, Release, ReleaseKind, TaskQuery
from tests.stores import FAILED, QUEUE_LIMIT, SUCCEEDED, Queue


class TestAccepting:
    async def test_every_wish_comes_back_as_it_was_asked(self, queue: Queue) -> None:
        first = await queue.add()
        new = NewTask(
            "demo",
            "-- Grüße 🙂\x00\n'; DROP TABLE tasks",
            profile="planning",
            priority=7,
            run_after=queue.now() + timedelta(microseconds=1),
            after=(first.task_id,),
            dedup_key="issue-1",
            max_attempts=3,
            time_limit_s=12.5,
            budget_usd=0.25,
            model="small",
            tags=("a", "ä"),
            system_id="there",
            source="api",
            task_id="my-task_1",
        )
        task, is_new = await queue.store.enqueue(new)
        assert is_new and task == await queue.store.get("my-task_1")
        assert {name: getattr(task, name) for name in new.__slots__} == {
            name: getattr(new, name) for name in new.__slots__
        }
        assert (task.status, task.fence, task.attempt, task.infra_attempt) == (TaskStatus.QUEUED, 0, 0, 0)
        assert (task.lease, task.hold, task.result, task.created_at) == (None, None, None, queue.now())

    async def test_a_large_prompt_is_kept_whole(self, queue: Queue) -> None:
        prompt = "x🙂" * 400_000
        assert (await queue.get(await queue.add(prompt))).prompt == prompt

    @pytest.mark.parametrize(
        ("wishes", "sentence"),
        [
            ({"prompt": " \n"}, "The prompt is empty"),
            ({"prompt": "half \ud83d"}, "UTF-8 in `prompt`"),
            ({"prompt": "x" * 4_000_001}, "over 4000000 bytes"),
            ({"project": ""}, "The project is empty"),
            ({"max_attempts": 0}, "`max_attempts`"),
            ({"priority": 1001}, "`priority`"),
            ({"time_limit_s": 0.0}, "`time_limit_s`"),
            ({"budget_usd": -1.0}, "`budget_usd`"),
            ({"task_id": "a/b c"}, "`task_id`"),
            ({"task_id": "self", "after": ("self",)}, "waits for itself"),
        ],
    )
    async def test_what_cannot_be_carried_out_is_refused_in_one_sentence(
        self, queue: Queue, wishes: dict[str, object], sentence: str
    ) -> None:
        with pytest.raises(InvalidTask, match=sentence):
            await queue.add(**wishes)  # type: ignore[arg-type]
        assert await queue.store.list(TaskQuery()) == []

    async def test_a_time_without_a_zone_is_refused(self, queue: Queue) -> None:
        with pytest.raises(InvalidTask, match="time zone"):
            await queue.add(run_after=queue.now().replace(tzinfo=None))

    async def test_an_unknown_project_is_refused(self, queue: Queue) -> None:
        with pytest.raises(UnknownProject, match=r"'nowhere'.*project add"):
            await queue.add(project="nowhere")

    async def test_an_unknown_dependency_is_refused(self, queue: Queue) -> None:
        with pytest.raises(UnknownDependency, match="'no-such'"):
            await queue.add(after=("no-such",))

    async def test_the_same_task_id_gives_the_stored_task(self, queue: Queue) -> None:
        first = await queue.add(task_id="mine")
        again, is_new = await queue.store.enqueue(NewTask("demo", "Something else", task_id="mine"))
        assert (again, is_new) == (first, False)

    async def test_the_same_dedup_key_gives_the_unfinished_task(self, queue: Queue) -> None:
        first = await queue.add(dedup_key="issue-1")
        again, is_new = await queue.store.enqueue(NewTask("demo", "Again", dedup_key="issue-1"))
        assert (again, is_new) == (first, False)
        await queue.store.cancel(first.task_id)
        assert (await queue.add(dedup_key="issue-1")).task_id != first.task_id

    async def test_concurrent_tasks_with_one_dedup_key_become_one(self, queue: Queue) -> None:
        new = NewTask("demo", "Mend it", dedup_key="issue-1")
        answers = await asyncio.gather(*(queue.store.enqueue(new) for _ in range(10)))
        assert len({task.task_id for task, _ in answers}) == 1
        assert sum(is_new for _, is_new in answers) == 1

    async def test_a_full_queue_refuses_and_says_how_many_wait(self, queue: Queue) -> None:
        for _ in range(QUEUE_LIMIT):
            await queue.add()
        with pytest.raises(QueueFull, match=f"{QUEUE_LIMIT} tasks wait.*queue_limit"):
            await queue.add()
        await queue.claim_one()
        await queue.add()


class TestLooking:
    async def test_a_task_is_found_by_a_prefix_that_only_it_has(self, queue: Queue) -> None:
        task = await queue.add(task_id="abcd1111")
        await queue.add(task_id="abcd2222")
        assert await queue.store.get("abcd1") == task
        with pytest.raises(TaskNotFound, match="More than one"):
            await queue.store.get("abcd")

    @pytest.mark.parametrize("wrong", ["abc", "zzzz", "", "%", "abcd_", "*abc", "\U0010ffff", "a\x00b"])
    async def test_a_task_is_not_found_by_anything_else(self, queue: Queue, wrong: str) -> None:
        await queue.add(task_id="abcd1111")
        with pytest.raises(TaskNotFound):
            await queue.store.get(wrong)

    async def test_the_list_is_newest_first_and_goes_on_before_a_task(self, queue: Queue) -> None:
        tasks = [await queue.add(f"Task {n}") for n in range(5)]
        page = await queue.store.list(TaskQuery(limit=2))
        assert list(page) == [tasks[4], tasks[3]]
        rest = await queue.store.list(TaskQuery(before=page[-1].task_id))
        assert list(rest) == [tasks[2], tasks[1], tasks[0]]

    async def test_the_list_is_filtered_by_status_project_and_tag(self, queue: Queue) -> None:
        await queue.store.add_project(Project("other", Path("/other")))
        claimed = (await queue.add(tags=("red",))).task_id
        await queue.claim_one()
        other = (await queue.add(project="other", tags=("red", "green"))).task_id
        green = (await queue.add(tags=("green",))).task_id

        async def ids(query: TaskQuery) -> list[str]:
            return [task.task_id for task in await queue.store.list(query)]

        assert await ids(TaskQuery(statuses=frozenset({TaskStatus.CLAIMED, TaskStatus.FAILED}))) == [claimed]
        assert await ids(TaskQuery(project="other")) == [other]
        assert await ids(TaskQuery(tag="red")) == [other, claimed]
        assert await ids(TaskQuery(tag="green", project="demo")) == [green]

    async def test_the_list_before_an_unknown_task_is_refused(self, queue: Queue) -> None:
        with pytest.raises(TaskNotFound):
            await queue.store.list(TaskQuery(before="no-such"))

    async def test_every_status_is_counted(self, queue: Queue) -> None:
        await queue.add()
        await queue.add()
        await queue.claim_one()
        counts = await queue.store.counts()
        assert counts.keys() == set(TaskStatus)
        assert {status: n for status, n in counts.items() if n} == {TaskStatus.QUEUED: 1, TaskStatus.CLAIMED: 1}


class TestPeople:
    async def test_a_queued_task_is_cancelled_at_once(self, queue: Queue) -> None:
        task = await queue.add()
        assert (await queue.store.cancel(task.task_id[:8])).status is TaskStatus.CANCELLED
        assert await queue.claim() == []

    async def test_a_leased_task_is_flagged_and_its_owner_told(self, queue: Queue) -> None:
        task = await queue.running()
        flagged = await queue.store.cancel(task.task_id)
        assert (flagged.status, flagged.cancel_requested_at) == (TaskStatus.RUNNING, queue.now())
        queue.clock.advance(1)
        assert await queue.store.cancel(task.task_id) == flagged
        assert await queue.renew(task) is LeaseAnswer.CANCEL

    async def test_an_ended_task_cannot_be_cancelled(self, queue: Queue) -> None:
        task = await queue.running()
        await queue.store.finish(task.key, SUCCEEDED)
        with pytest.raises(WrongStatus, match="already succeeded"):
            await queue.store.cancel(task.task_id)

    async def test_retrying_begins_anew_with_all_attempts(self, queue: Queue) -> None:
        task = await queue.running()
        await queue.store.cancel(task.task_id)
        await queue.store.finish(task.key, FAILED)
        retried = await queue.store.retry(task.task_id)
        assert (retried.status, retried.attempt, retried.infra_attempt) == (TaskStatus.QUEUED, 0, 0)
        assert (retried.cancel_requested_at, retried.result) == (None, None)
        assert (await queue.claim_one()).fence == task.fence + 1

    async def test_only_what_failed_was_cancelled_or_is_held_is_retried(self, queue: Queue) -> None:
        task = await queue.add()
        with pytest.raises(WrongStatus, match="is queued"):
            await queue.store.retry(task.task_id)

    async def test_a_retry_that_would_break_a_dedup_key_is_refused(self, queue: Queue) -> None:
        old = await queue.add(dedup_key="issue-1")
        await queue.store.cancel(old.task_id)
        rival = await queue.add(dedup_key="issue-1")
        with pytest.raises(WrongStatus, match=rival.task_id):
            await queue.store.retry(old.task_id)

    async def test_releasing_a_hold_keeps_the_attempts(self, queue: Queue) -> None:
        task = await queue.running()
        hold = Hold(HoldReason.ATTEMPTS_EXHAUSTED, "twice in vain")
        await queue.store.release(task.key, Release(ReleaseKind.ATTEMPT_FAILED, "x", hold=hold))
        released = await queue.store.unhold(task.task_id)
        assert (released.status, released.attempt, released.hold) == (TaskStatus.QUEUED, 1, None)
        with pytest.raises(WrongStatus, match="not held"):
            await queue.store.unhold(task.task_id)

    @pytest.mark.parametrize("verb", ["cancel", "retry", "unhold"])
    async def test_an_unknown_task_is_not_found(self, queue: Queue, verb: str) -> None:
        with pytest.raises(TaskNotFound, match="'no-such'"):
            await getattr(queue.store, verb)("no-such")


class TestProjects:
    async def test_projects_are_listed_by_name_and_replaced_by_name(self, queue: Queue) -> None:
        await queue.store.add_project(Project("alpha", Path("/a")))
        stored = await queue.store.add_project(Project("alpha", Path("/b"), "planning"))
        assert stored == Project("alpha", Path("/b"), "planning", queue.now())
        names = [project.name for project in await queue.store.projects()]
        assert names == ["alpha", "demo"] and (await queue.store.projects())[0] == stored

    @pytest.mark.parametrize(
        ("project", "sentence"),
        [
            (Project(" ", Path("/a")), "name"),
            (Project("a\nb", Path("/a")), "control characters"),
            (Project("x" * 101, Path("/a")), "100 characters"),
            (Project("a", Path("relative")), "absolute"),
        ],
    )
    async def test_what_cannot_be_a_project_is_refused(self, queue: Queue, project: Project, sentence: str) -> None:
        with pytest.raises(InvalidProject, match=sentence):
            await queue.store.add_project(project)

    async def test_a_project_with_unfinished_tasks_stays(self, queue: Queue) -> None:
        task = await queue.add()
        with pytest.raises(WrongStatus, match=r"unfinished tasks \(1\)"):
            await queue.store.remove_project("demo")
        await queue.store.cancel(task.task_id)
        await queue.store.remove_project("demo")
        assert await queue.store.projects() == []

    async def test_an_unknown_project_cannot_be_removed(self, queue: Queue) -> None:
        with pytest.raises(NotFound, match="'nowhere'"):
            await queue.store.remove_project("nowhere")
