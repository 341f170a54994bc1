"""What every queue of notices promises."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ccm_orchestrator.adapters.sqlite.notices import SqliteNoticeQueue
from ccm_orchestrator.domain.notices import Level, Notice, NoticeEvent, NoticeStatus, Repeat
from ccm_orchestrator.fakes.memory_notices import MemoryNoticeQueue
from ccm_orchestrator.ports.notices import Intake, NoticeQuery, NoticeQueue
from tests.stores import opened

AT = datetime(2026, 11, 25, 12, tzinfo=UTC)
WINDOW = timedelta(minutes=5)
SECOND = timedelta(seconds=1)
FAILED = Notice("phone", "failed:1", NoticeEvent.FAILED, Level.WARNING, "Task failed", "It broke.", AT, AT)


@pytest.fixture(params=["memory", "sqlite"])
async def queue(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[NoticeQueue]:
    async with AsyncExitStack() as stack:
        if request.param == "memory":
            yield MemoryNoticeQueue()
        else:
            yield SqliteNoticeQueue(await opened(stack, tmp_path / "ccm.db"))


async def test_a_notice_comes_back_as_it_went_in_and_only_when_it_is_due(queue: NoticeQueue) -> None:
    later = replace(FAILED, topic="later", due_at=AT + SECOND)
    assert await queue.cursor() is None
    await queue.take_in(Intake([FAILED, later], cursor=7), WINDOW)
    assert await queue.cursor() == 7
    assert [known.notice for known in await queue.due("phone", AT)] == [FAILED]
    assert [known.notice for known in await queue.due("phone", AT + SECOND)] == [FAILED, later]


async def test_the_same_topic_counts_keeps_or_replaces(queue: NoticeQueue) -> None:
    other = replace(FAILED, title="Other")
    await queue.take_in(Intake([FAILED, FAILED, replace(other, repeat=Repeat.KEEP)]), WINDOW)
    (known,) = await queue.due("phone", AT)
    assert (known.count, known.notice.title) == (2, "Task failed")
    await queue.take_in(Intake([replace(other, repeat=Repeat.REPLACE)]), WINDOW)
    (known,) = await queue.due("phone", AT)
    assert (known.count, known.notice.title) == (2, "Other")


async def test_what_was_sent_is_sent_again_after_the_window_only(queue: NoticeQueue) -> None:
    await queue.take_in(Intake([FAILED]), WINDOW)
    (first,) = await queue.due("phone", AT)
    await queue.settle([first.seq], NoticeStatus.SENT, AT)
    await queue.take_in(Intake([FAILED, FAILED, replace(FAILED, target="mail")]), WINDOW)
    assert await queue.due("phone", AT + WINDOW - SECOND) == []
    assert [known.count for known in await queue.due("mail", AT)] == [1]
    assert [known.count for known in await queue.due("phone", AT + WINDOW)] == [2]


async def test_what_is_settled_before_it_was_sent_is_withdrawn(queue: NoticeQueue) -> None:
    await queue.take_in(Intake([FAILED, replace(FAILED, topic="other")]), WINDOW)
    await queue.take_in(Intake(withdrawn=["failed:1"]), WINDOW)
    assert [known.notice.topic for known in await queue.due("phone", AT)] == ["other"]
    (gone,) = await queue.notices(NoticeQuery(NoticeStatus.WITHDRAWN))
    assert gone.notice.topic == "failed:1"


async def test_a_failed_try_is_put_off_and_kept_with_its_reason(queue: NoticeQueue) -> None:
    await queue.take_in(Intake([FAILED]), WINDOW)
    (known,) = await queue.due("phone", AT)
    await queue.put_off([known.seq], AT + SECOND, "refused")
    await queue.put_off([known.seq], AT + 2 * SECOND, None)
    assert await queue.due("phone", AT + SECOND) == []
    (known,) = await queue.due("phone", AT + 2 * SECOND)
    assert (known.tries, known.error) == (1, "refused")
    await queue.settle([known.seq], NoticeStatus.FAILED, AT, "gone")
    (known,) = await queue.notices(NoticeQuery())
    assert (known.tries, known.error, known.status, known.sent_at) == (2, "gone", NoticeStatus.FAILED, None)


async def test_messages_are_counted_not_what_was_in_them(queue: NoticeQueue) -> None:
    await queue.take_in(Intake([FAILED, replace(FAILED, topic="b"), replace(FAILED, topic="c")]), WINDOW)
    first, second, third = await queue.due("phone", AT)
    await queue.settle([first.seq, second.seq], NoticeStatus.SENT, AT)
    await queue.settle([third.seq], NoticeStatus.SENT, AT + SECOND)
    assert await queue.sent_since("phone", AT) == 2
    assert await queue.sent_since("phone", AT + SECOND) == 1
    assert await queue.sent_since("mail", AT) == 0
    assert [known.seq for known in await queue.notices(NoticeQuery(limit=2, before=third.seq))] == [2, 1]


async def test_no_target_waits_behind_another(queue: NoticeQueue) -> None:
    flood = [replace(FAILED, topic=f"failed:{number}") for number in range(5)]
    await queue.take_in(Intake([*flood, replace(FAILED, target="mail")]), WINDOW)
    assert [known.notice.target for known in await queue.due("mail", AT, 3)] == ["mail"]
    assert [known.notice.topic for known in await queue.due("phone", AT, 3)] == ["failed:0", "failed:1", "failed:2"]
    assert len(await queue.notices(NoticeQuery(target="phone"))) == 5


async def test_old_notices_are_removed_and_numbers_never_come_again(queue: NoticeQueue) -> None:
    await queue.take_in(Intake([FAILED, replace(FAILED, topic="new", at=AT + SECOND)]), WINDOW)
    assert await queue.prune(AT + SECOND) == 1
    (kept,) = await queue.notices(NoticeQuery())
    assert kept.notice.topic == "new"
    assert await queue.prune(AT + 2 * SECOND) == 1
    await queue.take_in(Intake([FAILED]), WINDOW)
    (fresh,) = await queue.notices(NoticeQuery())
    assert fresh.seq > kept.seq
