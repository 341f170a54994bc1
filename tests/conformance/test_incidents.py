"""What every book of incidents promises."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ccm_orchestrator.adapters.sqlite.events import SqliteEventStore
from ccm_orchestrator.adapters.sqlite.incidents import SqliteIncidentStore
from ccm_orchestrator.domain.incidents import Change, Closing, Incident, IncidentKind, Opening, Trouble, event_of
from ccm_orchestrator.fakes.memory_incidents import MemoryIncidentStore
from ccm_orchestrator.fakes.memory_journal import MemoryEventStore
from ccm_orchestrator.ports.incidents import IncidentQuery, IncidentStore
from ccm_orchestrator.ports.journal import EventStore
from tests.stores import opened

AT = datetime(2026, 11, 25, 12, tzinfo=UTC)
LATER = AT + timedelta(minutes=5)
LOST = Trouble(IncidentKind.AGENT_LOST, "task-1", "engine", "The agent was killed.", ("run-1",))


@pytest.fixture(params=["memory", "sqlite"])
async def stores(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[tuple[IncidentStore, EventStore]]:
    async with AsyncExitStack() as stack:
        if request.param == "memory":
            events = MemoryEventStore()
            yield MemoryIncidentStore(events), events
        else:
            database = await opened(stack, tmp_path / "ccm.db")
            yield SqliteIncidentStore(database), SqliteEventStore(database)


@pytest.fixture
def book(stores: tuple[IncidentStore, EventStore]) -> IncidentStore:
    return stores[0]


@pytest.fixture
def events(stores: tuple[IncidentStore, EventStore]) -> EventStore:
    return stores[1]


async def test_an_incident_is_open_until_it_is_closed(book: IncidentStore) -> None:
    (first,) = await book.apply([Opening(LOST, AT)])
    assert first == Incident(first.seq, LOST, AT)
    (closed,) = await book.apply([Closing(*LOST.key, LATER, "a new try")])
    assert closed == replace(first, recovered_at=LATER, recovered_by="a new try")
    assert await book.incidents(IncidentQuery()) == [closed]
    assert await book.incidents(IncidentQuery(open_only=True)) == []


async def test_the_same_trouble_is_one_open_incident(book: IncidentStore) -> None:
    (first,) = await book.apply([Opening(LOST, AT)])
    assert await book.apply([Opening(replace(LOST, detail="Killed again.", run_ids=("run-2",)), LATER)]) == []
    (known,) = await book.incidents(IncidentQuery())
    assert (known.seq, known.opened_at, known.attempts) == (first.seq, AT, 2)
    assert (known.trouble.detail, known.trouble.run_ids) == ("Killed again.", ("run-1", "run-2"))


async def test_what_is_closed_opens_anew(book: IncidentStore) -> None:
    first, closed, second = await book.apply(
        [Opening(LOST, AT), Closing(*LOST.key, AT, "a new try"), Opening(LOST, LATER)]
    )
    assert second.seq > first.seq
    assert await book.incidents(IncidentQuery(open_only=True)) == [second]
    assert await book.incidents(IncidentQuery(before=second.seq, limit=1)) == [closed]


async def test_closing_what_is_not_open_is_nothing(book: IncidentStore) -> None:
    await book.apply([Opening(LOST, AT)])
    others: list[Change] = [
        Closing(LOST.kind, "task-2", LATER, "x"),
        Closing(IncidentKind.CRASH_LOOP, "task-1", LATER, "x"),
    ]
    assert await book.apply(others) == []


async def test_the_event_is_in_the_same_commit(book: IncidentStore, events: EventStore) -> None:
    again = Closing(*LOST.key, LATER, "a new try")
    changes: list[Change] = [Opening(LOST, AT, told=True), Opening(LOST, AT), again]
    opened_one, closed = await book.apply(changes)
    assert [stored.event for stored in await events.read(0)] == [event_of(opened_one, True), event_of(closed)]


async def test_how_far_the_log_was_read_never_goes_back(book: IncidentStore) -> None:
    assert await book.cursor() is None
    await book.apply([], 7)
    await book.apply([Opening(LOST, AT)], 5)
    assert await book.cursor() == 7


async def test_what_is_over_for_long_is_removed(book: IncidentStore) -> None:
    await book.apply([Opening(LOST, AT), Closing(*LOST.key, AT, "a new try"), Opening(LOST, AT)])
    assert await book.prune(AT) == 0
    assert await book.prune(LATER) == 1
    (kept,) = await book.incidents(IncidentQuery())
    assert kept.is_open
    (fresh,) = await book.apply([Opening(replace(LOST, subject="task-2"), AT)])
    assert fresh.seq > kept.seq
