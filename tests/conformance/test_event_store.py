"""What every event log keeps."""

import asyncio
from datetime import timedelta

import pytest

from ccm_orchestrator.domain.events import BusEvent, EventKind, HookRecord, StoredEvent
from ccm_orchestrator.fakes.clock import START
from ccm_orchestrator.ports.journal import EventStore


def event(text: str = "", **changes: object) -> BusEvent:
    fields: dict[str, object] = {"kind": EventKind.HOOK, "at": START, "task_id": "t1", "run_id": "r1"}
    return BusEvent(**fields | {"data": {"text": text}} | changes)  # type: ignore[arg-type]


def hook(name: str, raw: bytes = b"{}", run_id: str = "r1") -> HookRecord:
    return HookRecord(f"{run_id}/{name}", run_id, "PostToolUse", START, raw)


class TestLog:
    async def test_an_empty_log_begins_and_ends_at_nothing(self, event_store: EventStore) -> None:
        assert (await event_store.first_seq(), await event_store.last_seq()) == (0, 0)
        assert list(await event_store.read(0)) == []
        assert list(await event_store.append([])) == []

    async def test_events_come_back_whole_and_numbered_in_order(self, event_store: EventStore) -> None:
        data = {"nested": {"list": [1, 2.5, None, True, "ä🙂\x00"]}}
        events = [event(data=data), BusEvent(EventKind.DAEMON_STARTED, START + timedelta(microseconds=1))]
        stored = await event_store.append(events)
        assert list(stored) == [StoredEvent(1, events[0]), StoredEvent(2, events[1])]
        assert list(await event_store.read(0)) == list(stored)
        assert (await event_store.first_seq(), await event_store.last_seq()) == (1, 2)

    async def test_half_a_character_does_no_harm(self, event_store: EventStore) -> None:
        await event_store.append([event("before \ud83d after"), event("next")])
        texts = [str(stored.event.data["text"]) for stored in await event_store.read(0)]
        assert texts[0].startswith("before ") and texts[0].endswith(" after") and texts[1] == "next"

    async def test_reading_goes_on_after_a_cursor_up_to_a_limit(self, event_store: EventStore) -> None:
        await event_store.append([event(str(n)) for n in range(10)])
        assert [stored.seq for stored in await event_store.read(3, 4)] == [4, 5, 6, 7]
        assert list(await event_store.read(10)) == []
        assert list(await event_store.read(10**15)) == []

    async def test_reading_may_be_limited_to_a_task_or_a_run(self, event_store: EventStore) -> None:
        await event_store.append([event(task_id=f"t{n % 2}", run_id=f"r{n % 3}") for n in range(12)])
        assert [stored.seq for stored in await event_store.read(0, task_id="t1")] == [2, 4, 6, 8, 10, 12]
        assert [stored.seq for stored in await event_store.read(2, 2, run_id="r0")] == [4, 7]
        assert [stored.seq for stored in await event_store.read(0, task_id="t1", run_id="r0")] == [4, 10]

    async def test_concurrent_appends_share_no_number(self, event_store: EventStore) -> None:
        answers = await asyncio.gather(*(event_store.append([event(), event()]) for _ in range(10)))
        numbers = [stored.seq for answer in answers for stored in answer]
        assert sorted(numbers) == list(range(1, 21))
        assert all(second.seq == first.seq + 1 for first, second in answers)


class TestHooks:
    @pytest.mark.parametrize("raw", [b"", b"{not json", b"\x00\xff\xfe", b"x" * 1_000_000], ids=len)
    async def test_a_payload_is_kept_byte_for_byte(self, event_store: EventStore, raw: bytes) -> None:
        record = hook("Stop.1.1.json", raw)
        await event_store.ingest([(record, [event()])])
        assert list(await event_store.hook_records("r1")) == [record]

    async def test_what_records_mean_is_published_in_their_order(self, event_store: EventStore) -> None:
        records = [(hook("a"), [event("a1"), event("a2")]), (hook("b"), []), (hook("c"), [event("c1")])]
        stored = await event_store.ingest(records)
        assert [entry.event.data["text"] for entry in stored] == ["a1", "a2", "c1"]
        assert list(await event_store.read(0)) == list(stored)
        assert list(await event_store.hook_records("r1")) == [record for record, _ in records]

    async def test_a_known_record_is_skipped_with_its_events(self, event_store: EventStore) -> None:
        await event_store.ingest([(hook("a"), [event("a")])])
        again = await event_store.ingest([(hook("a"), [event("a again")]), (hook("b"), [event("b")])])
        assert [entry.event.data["text"] for entry in again] == ["b"]
        assert [record.event_id for record in await event_store.hook_records("r1")] == ["r1/a", "r1/b"]

    async def test_a_record_twice_in_one_batch_counts_once(self, event_store: EventStore) -> None:
        stored = await event_store.ingest([(hook("a"), [event("first")]), (hook("a"), [event("second")])])
        assert [entry.event.data["text"] for entry in stored] == ["first"]

    async def test_records_belong_to_their_run(self, event_store: EventStore) -> None:
        await event_store.ingest([(hook("a", run_id="r1"), []), (hook("a", run_id="r2"), [])])
        assert [record.event_id for record in await event_store.hook_records("r2")] == ["r2/a"]

    async def test_a_name_that_is_no_text_does_not_stop_the_others(self, event_store: EventStore) -> None:
        records = [(hook("bad-\udcff"), [event("bad")]), (hook("good"), [event("good")])]
        assert len(await event_store.ingest(records)) == 2
        assert len(await event_store.ingest(records)) == 0
        assert len(await event_store.hook_records("r1")) == 2


class TestRetention:
    async def test_what_is_older_goes_and_no_number_is_used_again(self, event_store: EventStore) -> None:
        await event_store.append([event(), event(at=START + timedelta(days=1))])
        await event_store.ingest([(hook("old"), [])])
        assert await event_store.prune(START + timedelta(hours=1)) == 1
        assert (await event_store.first_seq(), await event_store.last_seq()) == (2, 2)
        assert list(await event_store.hook_records("r1")) == []
        assert await event_store.prune(START + timedelta(days=2)) == 1
        assert (await event_store.first_seq(), await event_store.last_seq()) == (0, 2)
        assert [stored.seq for stored in await event_store.append([event()])] == [3]
