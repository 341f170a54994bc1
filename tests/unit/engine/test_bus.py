"""Who is woken by what is published."""

import asyncio
from datetime import UTC, datetime

import pytest

from ccm_orchestrator.domain.events import BusEvent, EventKind
from ccm_orchestrator.engine.bus import Bus
from ccm_orchestrator.fakes.memory_journal import MemoryEventStore

AT = datetime(2026, 11, 25, 12, tzinfo=UTC)
CREATED = BusEvent(EventKind.TASK_CREATED, AT, "a" * 32)
HELD = BusEvent(EventKind.TASK_HELD, AT, "a" * 32)
LIMIT_S = 30.0


@pytest.mark.parametrize("kinds", [None, {EventKind.TASK_CREATED}, {EventKind.TASK_CREATED, EventKind.TASK_HELD}])
async def test_whoever_waits_for_its_kind_or_for_any_is_woken(kinds: set[EventKind] | None) -> None:
    bus = Bus(MemoryEventStore())
    waiter = asyncio.create_task(bus.wait(LIMIT_S, kinds))
    await asyncio.sleep(0)
    await bus.publish(CREATED)
    assert await waiter


async def test_whoever_waits_for_another_kind_sleeps_on_until_that_comes() -> None:
    bus = Bus(MemoryEventStore())
    waiter, other = (asyncio.create_task(bus.wait(LIMIT_S, kinds)) for kinds in ({EventKind.TASK_HELD}, None))
    await asyncio.sleep(0)
    await bus.publish(CREATED)
    assert await other and not waiter.done()
    await bus.publish(HELD)
    assert await waiter


async def test_everybody_is_woken_when_nobody_says_by_what() -> None:
    bus = Bus(MemoryEventStore())
    waiter = asyncio.create_task(bus.wait(LIMIT_S, {EventKind.TASK_HELD}))
    await asyncio.sleep(0)
    bus.wake()
    assert await waiter
