"""Notices under any order of events: nothing is lost, nothing is told twice within the window, and none is starved."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as st

from ccm_orchestrator.adapters.sqlite.notices import SqliteNoticeQueue
from ccm_orchestrator.domain.notices import Level, Notice, NoticeEvent, NoticeStatus, QueuedNotice
from ccm_orchestrator.fakes.clock import FakeClock
from ccm_orchestrator.fakes.memory_notices import MemoryNoticeQueue
from ccm_orchestrator.ports.notices import Intake, NoticeQuery, NoticeQueue
from tests.stores import opened

WINDOW = timedelta(seconds=300)
TARGETS, TOPICS = ("phone", "mail"), ("a", "b", "c")

happens = st.tuples(st.just("happens"), st.sampled_from(TARGETS), st.sampled_from(TOPICS), st.integers(0, 90))
delivers = st.tuples(st.just("delivers"), st.sampled_from(TARGETS), st.just(""), st.integers(1, 3))
fails = st.tuples(st.just("fails"), st.sampled_from(TARGETS), st.just(""), st.integers(1, 600))
settles = st.tuples(st.just("settles"), st.just(""), st.sampled_from(TOPICS), st.just(0))
waits = st.tuples(st.just("waits"), st.just(""), st.just(""), st.integers(1, 400))
steps = st.lists(st.one_of(happens, delivers, fails, settles, waits), max_size=40)
Step = tuple[str, str, str, int]


class Telling:
    """One queue, and what its targets got."""

    def __init__(self, queue: NoticeQueue) -> None:
        self.queue, self.clock = queue, FakeClock()
        self.happened: Counter[tuple[str, str]] = Counter()
        self.told: list[tuple[str, str, int, float]] = []

    async def take(self, step: Step) -> None:
        what, target, topic, number = step
        now = self.clock.now()
        if what == "happens":
            due = now + timedelta(seconds=number)
            notice = Notice(target, topic, NoticeEvent.FAILED, Level.WARNING, "T", "B", now, due)
            await self.queue.take_in(Intake([notice]), WINDOW)
            self.happened[target, topic] += 1
        elif what == "settles":
            await self.queue.take_in(Intake(withdrawn=[topic]), WINDOW)
        elif what == "waits":
            self.clock.advance(number)
        elif what == "delivers":
            for queued in await self.queue.due(target, now, number):
                await self.queue.settle([queued.seq], NoticeStatus.SENT, now)
                self.told.append((target, queued.notice.topic, queued.count, self.clock.uptime_s()))
        else:
            due_now = await self.queue.due(target, now)
            await self.queue.put_off([q.seq for q in due_now], now + timedelta(seconds=number), "refused")


async def _told(queue: NoticeQueue, taken: list[Step]) -> Telling:
    telling = Telling(queue)
    for step in taken:
        await telling.take(step)
        for target in TARGETS:
            due = await queue.due(target, telling.clock.now())
            assert [q.seq for q in due] == sorted(q.seq for q in due)
            assert {q.notice.target for q in due} <= {target}
    return telling


@given(steps)
def test_the_same_thing_is_told_once_in_a_window_and_every_happening_is_counted(taken: list[Step]) -> None:
    queue = MemoryNoticeQueue()
    telling = asyncio.run(_told(queue, taken))
    last: dict[tuple[str, str], float] = {}
    for target, topic, _, at in telling.told:
        assert at - last.get((target, topic), -WINDOW.total_seconds()) >= WINDOW.total_seconds()
        last[target, topic] = at
    kept: Counter[tuple[str, str]] = Counter()
    for queued in asyncio.run(_everything(queue)):
        kept[queued.notice.target, queued.notice.topic] += queued.count
    assert kept == telling.happened


async def _everything(queue: NoticeQueue) -> list[QueuedNotice]:
    return list(await queue.notices(NoticeQuery(limit=1000)))


def _unnumbered(newest_first: list[QueuedNotice]) -> list[QueuedNotice]:
    """Numbers rise, but SQLite spends one also on a notice that joins an older one."""
    assert newest_first == sorted(newest_first, key=lambda queued: -queued.seq)
    return [replace(queued, seq=0) for queued in newest_first]


@settings(max_examples=12)
@given(steps)
def test_the_database_does_as_the_memory_does(taken: list[Step]) -> None:
    async def both() -> None:
        async with AsyncExitStack() as stack:
            directory = stack.enter_context(TemporaryDirectory())
            stored = SqliteNoticeQueue(await opened(stack, Path(directory, "ccm.db")))
            memory = MemoryNoticeQueue()
            assert (await _told(stored, taken)).told == (await _told(memory, taken)).told
            assert _unnumbered(await _everything(stored)) == _unnumbered(await _everything(memory))

    asyncio.run(both())


@settings(max_examples=10)
@given(st.integers(1, 50), st.integers(0, 50))
def test_pruning_takes_what_is_old_and_nothing_else(old: int, young: int) -> None:
    async def pruned() -> None:
        queue, clock = MemoryNoticeQueue(), FakeClock()
        for number in range(old + young):
            if number == old:
                clock.advance(3600)
            now = clock.now()
            notice = Notice("phone", str(number), NoticeEvent.FAILED, Level.INFO, "T", "B", now, now)
            await queue.take_in(Intake([notice]), WINDOW)
        border = clock.now() if young else clock.now() + timedelta(seconds=1)
        assert await queue.prune(border) == old
        assert {q.notice.topic for q in await queue.due("phone", border)} == {str(n) for n in range(old, old + young)}

    asyncio.run(pruned())
