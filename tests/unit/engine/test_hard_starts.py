"""Starts, restarts and replacements at the worst moment."""

from __future__ import annotations

from pathlib import Path

import pytest

from ccm_orchestrator.domain.run import Run
from ccm_orchestrator.domain.task import HoldReason, TaskStatus
from ccm_orchestrator.engine import orchestrator, roster
from ccm_orchestrator.engine.orchestrator import Orchestrator
from tests.unit.engine.house import SHORT_S, House
from tests.unit.engine.trouble import before, left_working, refuse_once, working


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(roster, "AGAIN_S", SHORT_S)
    monkeypatch.setattr(orchestrator, "BEAT_S", SHORT_S)


class TestSuperseded:
    """The watchdog may retire an orchestrator at any line; what it reads then belongs to the next one."""

    async def test_what_it_read_is_neither_ingested_nor_discarded(
        self, home: House, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        daemon = await home.start()
        run = await working(home)
        known = await home.events.hook_records(run.run_id)
        self._retired_while_reading(home, run, daemon.orchestrator, monkeypatch)
        home.says(run, "turn_ended", "Over.")
        await home.until(daemon.running.done, "the end of the retired one")
        assert await home.events.hook_records(run.run_id) == known
        assert len(home.agent(run).spool) == 1

    async def test_what_it_just_ingested_stays_in_the_spool(self, home: House, monkeypatch: pytest.MonkeyPatch) -> None:
        daemon = await home.start()
        run = await working(home)
        before(monkeypatch, home.events, "ingest", lambda _: daemon.orchestrator.retire())
        home.says(run, "turn_ended", "Over.")
        await home.until(daemon.running.done, "the end of the retired one")
        assert len(home.agent(run).spool) == 1

    @staticmethod
    def _retired_while_reading(home: House, run: Run, retiring: Orchestrator, monkeypatch: pytest.MonkeyPatch) -> None:
        def retire(run_id: str, _limit: int) -> None:
            if home.pad.runs[run_id].spool:
                retiring.retire()

        before(monkeypatch, home.pad, "spooled", retire)

    async def test_the_next_one_finishes_what_it_left(self, home: House, monkeypatch: pytest.MonkeyPatch) -> None:
        daemon = await home.start()
        run = await working(home)
        with monkeypatch.context() as patch:
            self._retired_while_reading(home, run, daemon.orchestrator, patch)
            home.says(run, "turn_ended", "Over.")
            await home.until(daemon.running.done, "the end of the retired one")
        await home.start()
        await home.until_status(run.task_id, TaskStatus.SUCCEEDED)
        assert len(await home.runs(run.task_id)) == 1


class TestStart:
    @pytest.mark.parametrize(
        ("owner", "operation"),
        [
            ("journal", "begin_term"),
            ("journal", "runs"),
            ("journal", "views"),
            ("journal", "save_run"),
            ("journal", "open_claims"),
            ("store", "adopt"),
            ("store", "get"),
            ("events", "last_seq"),
            ("events", "append"),
        ],
    )
    async def test_it_waits_for_whatever_is_away_and_then_takes_over(
        self, home: House, monkeypatch: pytest.MonkeyPatch, owner: str, operation: str
    ) -> None:
        run = await left_working(home)
        refused = refuse_once(monkeypatch, getattr(home, owner), operation)
        await home.start()
        assert refused
        home.says(run, "turn_ended", "Over.")
        await home.until_status(run.task_id, TaskStatus.SUCCEEDED)
        assert len(await home.runs(run.task_id)) == 1

    async def test_a_task_that_was_deleted_by_hand_does_not_stop_it_and_its_agent_is_ended(self, home: House) -> None:
        run = await left_working(home)
        home.store.delete(run.task_id)
        await home.start()
        ended = await home.until_ended(run)
        assert (ended.outcome, ended.ending) == (None, "its task does not exist any more")
        assert home.agent(run).agent_alive is False
        other = await home.running()
        assert other.task_id != run.task_id

    async def test_a_directory_that_cannot_even_be_looked_at_holds_the_task(
        self, home: House, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def dead_mount(_: Path) -> bool:
            raise OSError(107, "Transport endpoint is not connected")

        monkeypatch.setattr(type(home.project), "is_dir", dead_mount)
        daemon = await home.start()
        task = await home.until_status(await home.add(), TaskStatus.HELD)
        assert task.hold is not None
        assert task.hold.reason is HoldReason.SETUP
        assert str(home.project) in task.hold.detail
        assert not daemon.running.done()
