"""What goes wrong at the worst moment: stores that are away, daemons that slept, exceptions that nobody foresaw."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest

from ccm_orchestrator.domain.agent import Evidence, Signal, Source
from ccm_orchestrator.domain.dialogue import MessageStatus, PermissionRequest, PermissionStatus
from ccm_orchestrator.domain.events import EventKind, HookRecord
from ccm_orchestrator.domain.result import FailureKind, Outcome
from ccm_orchestrator.domain.run import Run, RunState
from ccm_orchestrator.domain.task import TaskStatus
from ccm_orchestrator.engine import orchestrator, roster
from tests.unit.engine.house import SHORT_S, House
from tests.unit.engine.trouble import AWAY, before, left_working, refuse_once, working


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(roster, "AGAIN_S", SHORT_S)
    monkeypatch.setattr(orchestrator, "BEAT_S", SHORT_S)


def a_permission(home: House, run: Run) -> PermissionRequest:
    return PermissionRequest(
        request_id="perm-1",
        run_id=run.run_id,
        task_id=run.task_id,
        dialog="permission",
        tool_name="Bash",
        tool_input={"command": "date"},
        suggestions=(),
        status=PermissionStatus.OPEN,
        created_at=home.clock.now(),
        expires_at=None,
    )


@pytest.mark.parametrize("error", [ValueError("a transcript that nobody expected"), PermissionError(13, "not yours")])
async def test_a_run_whose_following_fails_is_kept_and_followed_again_and_its_task_never_gets_a_second_agent(
    home: House, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    await home.start()
    run = await working(home)
    failures: list[str] = []

    def fail(*_: object) -> None:
        failures.append("once more")
        raise error

    with monkeypatch.context() as patch:
        before(patch, home.driver, "observe", fail)
        await home.until(lambda: len(failures) > 2, "several tries")
        await hours_pass(home, run)
    home.says(run, "turn_ended", "Over.")
    await home.until_status(run.task_id, TaskStatus.SUCCEEDED)
    assert (len(await home.runs(run.task_id)), len(home.terminal.opened)) == (1, 1)


async def hours_pass(home: House, run: Run) -> None:
    """Beyond the lease and beyond the grace of a takeover, with renewals in between."""
    for _ in range(12):
        home.clock.advance(80)
        await home.until(lambda: renewed(home, run), "a renewed lease")


async def renewed(home: House, run: Run) -> bool:
    task = await home.store.get(run.task_id)
    assert task.fence == run.fence, "nobody may claim it anew"
    return task.lease is not None and task.lease.expires_at > home.clock.now() + timedelta(seconds=80)


async def test_an_end_that_was_ingested_but_not_taken_in_is_replayed_at_the_adoption(
    home: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    daemon = await home.start()
    run = await working(home)
    home.clock.advance(120)
    real, discarded = home.pad.discard, asyncio.Event()

    async def last_act(records: Sequence[HookRecord]) -> None:
        await real(records)
        discarded.set()
        await asyncio.Event().wait()  # the daemon is killed here

    with monkeypatch.context() as patch:
        patch.setattr(home.pad, "discard", last_act)
        home.says(run, "turn_ended", "All done.")
        await asyncio.wait_for(discarded.wait(), 10)
        await daemon.vanish()
    assert home.agent(run).spool == {}
    assert await home.status(run.task_id) is TaskStatus.RUNNING
    await home.start()
    task = await home.until_status(run.task_id, TaskStatus.SUCCEEDED)
    assert task.result is not None and task.result.text == "All done."


class TestClocks:
    async def test_work_that_was_done_in_time_counts_although_nobody_looked_until_much_later(self, home: House) -> None:
        run = await left_working(home, time_limit_s=120.0)
        home.says(run, "turn_ended", "In time.")
        home.clock.advance(5 * 3600)
        await home.start()
        task = await home.until_status(run.task_id, TaskStatus.SUCCEEDED, TaskStatus.FAILED, TaskStatus.QUEUED)
        assert task.status is TaskStatus.SUCCEEDED

    @pytest.mark.parametrize("restarted", ["never", "while waiting", "after it"])
    async def test_waiting_for_people_does_not_count(self, home: House, restarted: str) -> None:
        daemon = await home.start()
        run = await working(home, time_limit_s=60.0, max_attempts=1)
        home.says(run, "asked", "permission")
        await home.until_status(run.task_id, TaskStatus.WAITING)
        await hours_pass(home, run)
        assert await home.status(run.task_id) is TaskStatus.WAITING
        if restarted == "while waiting":
            await daemon.vanish()
            await home.start()
        home.says(run, "tool_started", tool_use_id="t1")
        await home.until_status(run.task_id, TaskStatus.RUNNING)
        if restarted == "after it":
            await daemon.vanish()
            await home.start()
        home.clock.advance(59)
        await home.settled()
        assert await home.status(run.task_id) is TaskStatus.RUNNING
        home.clock.advance(2)
        task = await home.until_status(run.task_id, TaskStatus.FAILED)
        assert task.result is not None and task.result.failure is not None
        assert task.result.failure.kind is FailureKind.TIME_LIMIT

    async def test_an_agent_is_given_its_silence_anew_after_nobody_listened(self, home: House) -> None:
        run = await left_working(home)
        busy = Evidence(Source.REGISTRY, Signal.BUSY, home.clock.now())
        home.driver.observations[run.run_id] = [busy]
        home.clock.advance(3600)
        await home.start()
        await home.settled()
        assert home.typed(run) == [], "nobody listened, so nobody knows that it was silent"
        home.clock.advance(300)
        await home.until(lambda: home.typed(run), "a nudge")


class TestSettling:
    @pytest.mark.parametrize(
        ("told", "fields", "becomes", "outcome"),
        [
            ("turn_ended", {}, TaskStatus.SUCCEEDED, Outcome.SUCCEEDED),
            ("turn_failed", {"max_attempts": 1}, TaskStatus.FAILED, Outcome.FAILED),
            ("turn_failed", {}, TaskStatus.QUEUED, Outcome.FAILED),
        ],
    )
    async def test_no_outcome_is_lost_wherever_the_store_goes_away(
        self,
        home: House,
        caplog: pytest.LogCaptureFixture,
        told: str,
        fields: dict[str, object],
        becomes: TaskStatus,
        outcome: Outcome,
    ) -> None:
        await home.start()
        refused: list[str] = []
        for number in range(100):
            run = await working(home, **fields)
            async with self._away_at(home, run, number) as came:
                home.says(run, told, "It is over.")
                await home.until_status(run.task_id, becomes)
                ended = await home.until_ended(run)
            assert (ended.outcome, len(await home.runs(run.task_id))) == (outcome, 1), came
            told_kinds = await home.kinds(run.task_id)
            assert sum(kind.value == f"task.{becomes}" for kind in told_kinds) == 1, came
            assert "it is tried again" not in caplog.text, f"{came}: the step waits, the run does not start over"
            if not came:
                break
            refused += came
        assert {"save_run", "append", "hook_records", "read", "messages", "permissions"} <= set(refused)

    @staticmethod
    @asynccontextmanager
    async def _away_at(home: House, run: Run, number: int) -> AsyncIterator[list[str]]:
        """The call of this number that the run makes to any store, from the moment its agent is told to end."""
        came: list[str] = []
        calls = [-1]

        def count(operation: str) -> None:
            task = asyncio.current_task()
            if calls[0] < 0 or task is None or task.get_name() != f"run-{run.name}":
                return
            calls[0] += 1
            if calls[0] == number + 1:
                came.append(operation)
                raise AWAY

        def begun(*_: object) -> None:
            calls[0] = 0

        with pytest.MonkeyPatch.context() as patch:
            before(patch, home.pad, "terminate", begun)
            for owner in (home.store, home.journal, home.events):
                for operation in _operations(owner):
                    before(patch, owner, operation, lambda *_, _name=operation, **__: count(_name))
            yield came


def _operations(owner: object) -> list[str]:
    found = (name for name in dir(owner) if not name.startswith("_"))
    return [name for name in found if asyncio.iscoroutinefunction(getattr(owner, name))]


async def test_an_agent_that_ended_is_not_kept_open_by_a_message_that_nobody_can_deliver(home: House) -> None:
    await home.start()
    run = await working(home)
    home.terminal.of_run(run.run_id).output = "blocked permission"
    message = await home.journal.add_message(run.run_id, "hello?")
    home.says(run, "turn_ended", "Done.")
    await home.until_state(run, "complete")
    await home.settled()
    assert await home.status(run.task_id) is TaskStatus.RUNNING, "the message is still to come"
    home.pad.end(run.run_id)
    await home.until_status(run.task_id, TaskStatus.SUCCEEDED)
    await home.until_message(message, MessageStatus.UNDELIVERED)


class TestBeginning:
    async def test_a_full_disk_right_after_the_task_was_begun_leaves_nothing_half_remembered(
        self, home: House, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        refused = refuse_once(
            monkeypatch, home.journal, "save_run", lambda run, _: isinstance(run, Run) and run.state is RunState.RUNNING
        )
        await home.start()
        run = await working(home)
        assert refused
        assert (run.state, run.agent, run.started_at) == (RunState.RUNNING, home.agent(run).agent, home.clock.now())
        assert (await home.kinds(run.task_id)).count(EventKind.TASK_RUNNING) == 1
        home.says(run, "asked", "permission")
        await home.until_status(run.task_id, TaskStatus.WAITING)

    async def test_a_view_that_could_not_be_saved_is_saved_later(
        self, home: House, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        await home.start()
        run = await working(home)
        refused = refuse_once(monkeypatch, home.journal, "save_views")
        home.says(run, "asked", "permission")
        await home.until_state(run, "waiting")
        await home.until_status(run.task_id, TaskStatus.WAITING)
        assert refused


@pytest.mark.parametrize("how", ["lost", "superseded", "deleted"])
async def test_what_was_asked_and_said_is_closed_when_the_adoption_ends_the_run(home: House, how: str) -> None:
    run = await left_working(home)
    await home.journal.add_permission(a_permission(home, run))
    message = await home.journal.add_message(run.run_id, "hello?")
    if how == "lost":
        home.pad.vanish(run.run_id)
    elif how == "superseded":
        home.store.take_over(run.task_id)
    else:
        home.store.delete(run.task_id)
    await home.start()
    await home.until_ended(run)
    await home.until_permission(run, PermissionStatus.EXPIRED)
    await home.until_message(message, MessageStatus.UNDELIVERED)
