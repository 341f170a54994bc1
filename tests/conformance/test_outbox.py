"""What every outbox keeps."""

import sqlite3
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from ccm_orchestrator.adapters.sqlite import events
from ccm_orchestrator.adapters.sqlite.events import SqliteEventStore
from ccm_orchestrator.adapters.sqlite.outbox import SqliteOutbox
from ccm_orchestrator.domain.events import BusEvent, EventKind
from ccm_orchestrator.domain.leasing import Release, ReleaseKind
from ccm_orchestrator.domain.task import Hold, HoldReason, NewTask, stored_task
from ccm_orchestrator.errors import StoreError
from ccm_orchestrator.fakes.clock import START
from ccm_orchestrator.fakes.memory_journal import MemoryEventStore
from ccm_orchestrator.fakes.memory_outbox import MemoryOutbox
from ccm_orchestrator.ports.journal import EventStore
from ccm_orchestrator.ports.outbox import Deed, Metric, Outbox
from tests.stores import FAILED, SUCCEEDED, opened

FINISHED = Deed("supabase", "1" * 32, "task-one", 3, SUCCEEDED, None, START)
HELD = Release(ReleaseKind.VOLUNTARY, "too dear", START, Hold(HoldReason.BUDGET, "too dear", START))
GIVEN_BACK = Deed("supabase", "2" * 32, "task-two", 1, FAILED, HELD, START)


Kept = tuple[Outbox, EventStore]


@pytest.fixture(params=["memory", "sqlite"])
async def kept(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Kept]:
    """An outbox, and the event log beside it."""
    async with AsyncExitStack() as stack:
        if request.param == "memory":
            log = MemoryEventStore()
            yield MemoryOutbox(log), log
        else:
            database = await opened(stack, tmp_path / "ccm.db")
            yield SqliteOutbox(database), SqliteEventStore(database)


@pytest.fixture
def outbox(kept: Kept) -> Outbox:
    return kept[0]


async def test_deeds_come_back_whole_and_in_order_until_they_are_settled(outbox: Outbox) -> None:
    await outbox.put(FINISHED)
    await outbox.put(GIVEN_BACK)
    assert await outbox.deeds("supabase") == [FINISHED, GIVEN_BACK]
    assert await outbox.deeds("supabase", limit=1) == [FINISHED]
    assert await outbox.deeds("elsewhere") == []
    await outbox.settle(FINISHED)
    await outbox.settle(FINISHED)
    assert await outbox.deeds("supabase") == [GIVEN_BACK]


async def test_what_is_said_of_a_deed_is_in_the_log_as_soon_as_it_is_settled(kept: Kept) -> None:
    outbox, log = kept
    await outbox.put(FINISHED)
    said = BusEvent(EventKind.TASK_SUCCEEDED, START, FINISHED.task_id, FINISHED.run_id, {"attempt": 1})
    await outbox.settle(FINISHED, [said])
    assert [stored.event for stored in await log.read(0)] == [said]
    assert await outbox.deeds("supabase") == []


async def test_a_deed_of_which_nothing_can_be_said_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with AsyncExitStack() as stack:
        outbox = SqliteOutbox(await opened(stack, tmp_path / "ccm.db"))
        await outbox.put(FINISHED)

        def full(*_: object) -> None:
            raise sqlite3.OperationalError("database or disk is full")

        monkeypatch.setattr(events, "append", full)
        with pytest.raises(StoreError):
            await outbox.settle(FINISHED, [BusEvent(EventKind.TASK_SUCCEEDED, START)])
        assert await outbox.deeds("supabase") == [FINISHED]


async def test_a_claim_ends_once(outbox: Outbox) -> None:
    await outbox.put(FINISHED)
    await outbox.put(replace(FINISHED, result=FAILED))
    assert await outbox.deeds("supabase") == [FINISHED]
    await outbox.put(replace(FINISHED, fence=4))
    assert len(await outbox.deeds("supabase")) == 2


async def test_tasks_are_kept_as_they_were_claimed(outbox: Outbox) -> None:
    task = stored_task(NewTask("demo", "Mend it", tags=("a",), run_after=START), "task-one", START)
    assert await outbox.kept_task("run1") is None
    await outbox.keep_task("run1", task)
    assert await outbox.kept_task("run1") == task
    await outbox.forget_task("run1")
    assert await outbox.kept_task("run1") is None


async def test_each_store_has_its_own_cursor(outbox: Outbox) -> None:
    assert await outbox.cursor("supabase") == 0
    await outbox.move_cursor("supabase", 7)
    await outbox.move_cursor("supabase", 9)
    assert (await outbox.cursor("supabase"), await outbox.cursor("elsewhere")) == (9, 0)


async def test_only_the_newest_metrics_are_kept(outbox: Outbox) -> None:
    metrics = [Metric(f"m{n}", START + timedelta(seconds=n), {"agents": float(n)}) for n in range(5)]
    for metric in metrics:
        await outbox.put_metric("supabase", metric, keep=3)
    await outbox.put_metric("supabase", metrics[-1], keep=3)
    await outbox.put_metric("elsewhere", metrics[0], keep=3)
    assert await outbox.metrics("supabase") == metrics[2:]
    await outbox.settle_metrics("supabase", metrics[2:4])
    assert await outbox.metrics("supabase") == metrics[4:]
    assert await outbox.metrics("elsewhere") == metrics[:1]
