"""Who waits for the queue to change is woken by a hint, by an own write, or by the time since the last look."""

import asyncio
import threading
import time

import pytest

from ccm_orchestrator.adapters.supabase.changes import JITTER, Changes


def looked(changes: Changes) -> Changes:
    changes.looked(changes.before_look())
    return changes


@pytest.fixture
def changes() -> Changes:
    return looked(Changes(sweep_live_s=60.0, sweep_degraded_s=30.0))


async def test_nothing_happens_until_the_timeout(changes: Changes) -> None:
    assert await changes.wait(0.05) is False


async def test_a_hint_from_another_thread_wakes_at_once(changes: Changes) -> None:
    waiting = asyncio.create_task(changes.wait(30))
    await asyncio.sleep(0)
    thread = threading.Thread(target=changes.happened)
    thread.start()
    assert await asyncio.wait_for(waiting, 10) is True
    thread.join()
    assert await changes.wait(0.05) is False


async def test_a_hint_before_the_wait_is_kept(changes: Changes) -> None:
    changes.happened()
    assert await changes.wait(30) is True
    assert await changes.wait(0.05) is False


async def test_a_look_covers_what_happened_before_it_began(changes: Changes) -> None:
    changes.happened()
    seen = changes.before_look()
    changes.looked(seen)
    assert await changes.wait(0.05) is False


async def test_a_look_does_not_cover_what_happened_while_it_was_made(changes: Changes) -> None:
    seen = changes.before_look()
    changes.happened()
    changes.looked(seen)
    assert await changes.wait(30) is True


async def test_a_waiter_on_a_loop_of_another_thread_is_woken(changes: Changes) -> None:
    elsewhere = asyncio.create_task(asyncio.to_thread(lambda: asyncio.run(changes.wait(30))))
    await asyncio.sleep(0)
    changes.happened()
    assert await asyncio.wait_for(elsewhere, 10) is True


async def test_without_hints_it_is_time_to_look_after_the_interval() -> None:
    changes = looked(Changes(sweep_live_s=60.0, sweep_degraded_s=0.1))
    began = time.monotonic()
    assert await changes.wait(30) is True
    assert 0.1 * (1 - JITTER) <= time.monotonic() - began < 5


async def test_with_hints_that_takes_longer() -> None:
    changes = looked(Changes(sweep_live_s=60.0, sweep_degraded_s=0.1))
    changes.set_live(True)
    assert await changes.wait(0.3) is False


async def test_who_waits_while_hints_fail_looks_sooner() -> None:
    changes = looked(Changes(sweep_live_s=60.0, sweep_degraded_s=0.1))
    changes.set_live(True)
    waiting = asyncio.create_task(changes.wait(30))
    await asyncio.sleep(0)
    changes.set_live(False)
    assert await asyncio.wait_for(waiting, 10) is True


async def test_machines_do_not_look_at_the_same_time() -> None:
    now_s = 0.0
    changes = Changes(sweep_live_s=100.0, sweep_degraded_s=100.0, uptime_s=lambda: now_s)
    due = set()
    for _ in range(20):
        looked(changes)
        began_s = now_s
        while not await changes.wait(0):
            now_s += 1
        due.add(now_s - began_s)
    assert len(due) > 3 and min(due) >= 100 * (1 - JITTER) and max(due) <= 100 * (1 + JITTER) + 1
