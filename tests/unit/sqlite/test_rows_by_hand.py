"""Rows that people insert with plain SQL: good ones run, bad ones are held with a sentence, none breaks another."""

import asyncio
import shutil
import sqlite3
import sys
import time
from collections.abc import AsyncIterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from ccm_orchestrator.adapters.sqlite import tasks
from ccm_orchestrator.adapters.sqlite.database import Database
from ccm_orchestrator.adapters.sqlite.tasks import SqliteTaskStore
from ccm_orchestrator.domain.task import Hold, HoldReason, Task, TaskStatus
from ccm_orchestrator.fakes.clock import FakeClock
from ccm_orchestrator.ports.tasks import ClaimRequest, LeaseAnswer, Project, TaskQuery
from tests.stores import GRACE_S, LEASE_S, SUCCEEDED


@dataclass
class Hand:
    path: Path
    store: SqliteTaskStore
    clock: FakeClock

    def sql(self, statement: str, *values: object) -> None:
        """As another process would."""
        with closing(sqlite3.connect(self.path, isolation_level=None, timeout=30)) as connection:
            connection.execute(statement, values)

    def insert(self, **columns: object) -> None:
        values = {"project": "demo", "prompt": "Mend it"} | columns
        names, marks = ", ".join(values), ", ".join("?" * len(values))
        self.sql(f"INSERT INTO tasks ({names}) VALUES ({marks})", *values.values())

    async def claim(self, request: str = "r1", count: int = 10) -> list[Task]:
        return list(await self.store.claim(ClaimRequest(request, "here", "boot", count, LEASE_S)))

    async def only(self) -> Task:
        (task,) = await self.store.list(TaskQuery())
        return task

    async def held(self) -> Hold:
        """The hold of the only task, which a claim has just refused."""
        assert await self.claim() == []
        task = await self.only()
        assert task.status is TaskStatus.HELD and task.hold is not None
        return task.hold


@pytest.fixture
async def hand(tmp_path: Path) -> AsyncIterator[Hand]:
    database, clock = Database(tmp_path / "ccm.db"), FakeClock()
    await database.open()
    store = SqliteTaskStore(database, clock)
    await store.add_project(Project("demo", tmp_path))
    yield Hand(database.path, store, clock)
    await database.close()


class TestGoodRows:
    async def test_two_columns_are_enough(self, hand: Hand) -> None:
        hand.sql("INSERT INTO tasks(project, prompt) VALUES('demo', 'Fix it')")
        task = await hand.only()
        assert (task.project, task.prompt, task.profile, task.status) == ("demo", "Fix it", "executor", "queued")
        assert (task.after, task.tags, task.max_attempts, task.priority, task.source) == ((), (), 2, 0, "sql")
        assert len(task.task_id) == 32
        (claimed,) = await hand.claim()
        assert claimed.task_id == task.task_id

    async def test_the_project_gives_the_profile(self, hand: Hand) -> None:
        await hand.store.add_project(Project("planned", Path("/planned"), "planning"))
        hand.insert(project="planned")
        assert (await hand.only()).profile == "planning"

    async def test_the_command_line_tool_works_and_the_row_is_noticed_within_a_second(self, hand: Hand) -> None:
        tool = shutil.which("sqlite3")
        if tool is None:
            pytest.skip("the sqlite3 command is not installed")
        await hand.claim()
        waiting = asyncio.ensure_future(hand.store.wait_for_change(30))
        assert not (await asyncio.wait([waiting], timeout=0.3))[0]
        inserted = await asyncio.create_subprocess_exec(
            tool, hand.path, "INSERT INTO tasks(project, prompt) VALUES('demo', 'Fix it')"
        )
        assert await inserted.wait() == 0
        began = time.monotonic()
        assert await waiting is True
        assert time.monotonic() - began < 1
        assert len(await hand.claim()) == 1

    @pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the database is looked at periodically")
    async def test_the_kernel_tells_of_a_row_without_anybody_looking(
        self, hand: Hand, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(tasks, "TOLD_POLL_S", 60.0)
        await hand.claim()
        for _ in range(20):
            waiting = asyncio.ensure_future(hand.store.wait_for_change(50))
            assert not (await asyncio.wait([waiting], timeout=0.05))[0]
            await asyncio.to_thread(hand.insert)
            assert (await asyncio.wait([waiting], timeout=10))[0], "nobody told"
            assert waiting.result() is True

    @pytest.mark.parametrize(
        "moment", ["2026-01-01", "2026-01-01 00:00:10", "2026-01-01T02:00:10+02:00", "2026-01-01T00:00:10Z"]
    )
    async def test_any_usual_form_of_time_is_understood(self, hand: Hand, moment: str) -> None:
        hand.insert(run_after=moment)
        assert (await hand.claim() == []) == moment.endswith(("10", "10Z", "02:00"))
        hand.clock.advance(10)
        await hand.claim()
        assert (await hand.only()).status is TaskStatus.CLAIMED

    async def test_a_prompt_read_from_a_file_is_a_blob_and_works(self, hand: Hand) -> None:
        hand.insert(prompt="Fix it, ünï".encode())
        (task,) = await hand.claim()
        assert task.prompt == "Fix it, ünï"

    async def test_a_status_changed_by_hand_is_a_change(self, hand: Hand) -> None:
        hand.insert(status="held", hold_reason="approval", hold_detail="wait")
        assert await hand.claim() == []
        hand.sql("UPDATE tasks SET status = 'queued'")
        assert await hand.store.wait_for_change(30) is True
        assert len(await hand.claim()) == 1


class TestRefusedRows:
    @pytest.mark.parametrize(
        ("columns", "sentence"),
        [
            ({"status": "done"}, "status must be one that docs/architecture.md names"),
            ({"priority": "high"}, "priority must be a whole number from -1000 to 1000"),
            ({"max_attempts": 0}, "max_attempts must be a whole number from 1 to 20"),
            ({"time_limit_s": "soon"}, "time_limit_s must be a positive number of seconds"),
            ({"budget_usd": -1}, "budget_usd must be a positive number"),
            ({"task_id": "a b"}, "task_id must be 4 to 64 letters, digits, _ or -"),
            ({"task_id": "ünïcode"}, "task_id must be 4 to 64 letters, digits, _ or -"),
            ({"project": None}, "tasks.project"),
        ],
    )
    async def test_the_constraint_says_what_to_mend(
        self, hand: Hand, columns: dict[str, object], sentence: str
    ) -> None:
        with pytest.raises(sqlite3.IntegrityError, match=sentence):
            hand.insert(**columns)

    async def test_a_second_unfinished_task_with_one_dedup_key_is_refused(self, hand: Hand) -> None:
        hand.insert(dedup_key="issue-1")
        with pytest.raises(sqlite3.IntegrityError, match="dedup_key"):
            hand.insert(dedup_key="issue-1")


class TestHeldRows:
    @pytest.mark.parametrize(
        ("columns", "sentence"),
        [
            ({"project": "nowhere"}, "There is no project named 'nowhere'"),
            ({"project": b"demo"}, "There is no project named"),
            ({"prompt": "  "}, "The prompt is empty"),
            ({"prompt": b"\xff\xfe"}, "Expected text in UTF-8 in `prompt`"),
            ({"after": "other"}, "Expected `after` to be a JSON list"),
            ({"after": '{"a": 1}'}, "Expected `after` to be a JSON list"),
            ({"after": "[1]"}, "Expected `after` to be a JSON list"),
            ({"after": "[" * 100_000}, "Expected `after` to be a JSON list"),
            ({"after": b"\xff"}, "`after`"),
            ({"after": '["no-such"]'}, "waits for task 'no-such', which does not exist"),
            ({"after": '["itself"]', "task_id": "itself"}, "waits for itself"),
            ({"tags": "red"}, "Expected `tags` to be a JSON list"),
            ({"labels": "gpu"}, "Expected `labels` to be a JSON list"),
            ({"labels": '["two words"]'}, "Expected each of `labels` to be"),
            ({"labels": '["gpu", ""]'}, "Expected each of `labels` to be"),
            ({"run_after": "tomorrow"}, "Expected `run_after` to be a time like"),
            ({"run_after": b"\x00"}, "Expected `run_after` to be a time like"),
            ({"run_after": "9999-12-31T23:59:59-12:00"}, "Expected `run_after` to be a time like"),
            ({"run_after": 1700000000}, "Expected `run_after` to be a time like"),
            ({"created_at": "yesterday"}, "Expected `created_at` to be a time like"),
            ({"result": "fine"}, "Expected `result` to be empty"),
        ],
    )
    async def test_a_row_that_cannot_be_carried_out_is_held_with_one_sentence(
        self, hand: Hand, columns: dict[str, object], sentence: str
    ) -> None:
        hand.insert(**columns)
        await hand.only()
        hold = await hand.held()
        assert hold.reason is HoldReason.INVALID
        assert sentence in hold.detail and len(hold.detail) < 400

    async def test_what_was_written_stays_to_be_mended(self, hand: Hand) -> None:
        hand.insert(task_id="mine", run_after="tomorrow", after="nothing")
        await hand.held()
        await hand.store.unhold("mine")
        assert "tomorrow" in (await hand.held()).detail
        hand.sql("UPDATE tasks SET run_after = NULL, after = '[]', status = 'queued'")
        assert [task.task_id for task in await hand.claim()] == ["mine"]

    async def test_text_that_is_not_utf8_breaks_nothing(self, hand: Hand) -> None:
        columns = ("project", "prompt", "profile", "dedup_key", "model", "source", "system_id", "hold_detail")
        values = ", ".join(["CAST(x'66ff' AS TEXT)"] * len(columns))
        hand.sql(f"INSERT INTO tasks ({', '.join(columns)}) VALUES ({values})")
        task = await hand.only()
        assert task.prompt == "f\ufffd"
        assert await hand.store.get(task.task_id) == task
        await hand.held()
        await hand.store.cancel(task.task_id)

    async def test_tasks_that_wait_for_each_other_are_held_and_others_go_on(self, hand: Hand) -> None:
        for task_id, after in (("one-", '["two-"]'), ("two-", '["three"]'), ("three", '["one-"]'), ("four", "[]")):
            hand.insert(task_id=task_id, after=after)
        hand.insert(task_id="five", after='["four"]')
        assert [task.task_id for task in await hand.claim()] == ["four"]
        statuses = {task.task_id: task.hold and task.hold.reason for task in await hand.store.list(TaskQuery())}
        invalid = HoldReason.INVALID
        assert statuses == {"one-": invalid, "two-": invalid, "three": invalid, "four": None, "five": None}

    @pytest.mark.parametrize("bad", [5, 100])
    async def test_bad_rows_neither_use_up_a_claim_nor_change_the_order(self, hand: Hand, bad: int) -> None:
        hand.insert(task_id="low-")
        for _ in range(bad):
            hand.insert(prompt="", priority=10)
        hand.insert(task_id="high", priority=10)
        assert [task.task_id for task in await hand.claim(count=1)] == ["high"]
        assert len(await hand.store.list(TaskQuery(statuses=frozenset({TaskStatus.HELD})))) == bad
        assert [task.task_id for task in await hand.claim("r2")] == ["low-"]

    async def test_a_tag_is_looked_for_past_rows_with_bad_tags(self, hand: Hand) -> None:
        hand.insert(tags="red")
        hand.insert(task_id="good", tags='["red"]')
        assert [task.task_id for task in await hand.store.list(TaskQuery(tag="red"))] == ["good"]

    async def test_a_row_said_to_run_without_an_owner_is_found_and_queued(self, hand: Hand) -> None:
        hand.insert(task_id="mine", status="running")
        hand.insert(task_id="other", status="waiting", lease_system_id="gone", lease_expires_at="soon")
        assert len(await hand.store.rescue("here", GRACE_S)) == 2
        for _ in range(int(GRACE_S / 60) + 1):
            hand.clock.advance(60)
            await hand.store.renew("here", "boot", [], LEASE_S)
        rescued = await hand.store.rescue("here", GRACE_S)
        assert {task.status for task in rescued} == {TaskStatus.QUEUED} and len(rescued) == 2

    async def test_a_held_row_without_a_known_reason_can_be_released(self, hand: Hand) -> None:
        hand.insert(task_id="mine", status="held", hold_reason="mood", hold_until="whenever")
        assert await hand.store.rescue("here", GRACE_S) == []
        assert (await hand.store.unhold("mine")).status is TaskStatus.QUEUED

    async def test_a_row_deleted_while_it_runs_is_fenced(self, hand: Hand) -> None:
        hand.insert(task_id="mine")
        (task,) = await hand.claim()
        hand.sql("DELETE FROM tasks")
        assert await hand.store.renew("here", "boot", [task.key], LEASE_S) == {"mine": LeaseAnswer.FENCED}
        assert await hand.store.finish(task.key, SUCCEEDED) == "fenced"
        assert list(await hand.store.late_results("mine")) == [(1, SUCCEEDED)]
