"""What every book of incidents promises."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ccm_orchestrator.adapters.sqlite.incidents import SqliteIncidentStore
from ccm_orchestrator.domain.incidents import Incident, IncidentKind, Trouble
from ccm_orchestrator.fakes.memory_incidents import MemoryIncidentStore
from ccm_orchestrator.ports.incidents import IncidentQuery, IncidentStore
from tests.stores import opened

AT = datetime(2026, 11, 25, 12, tzinfo=UTC)
LATER = AT + timedelta(minutes=5)
LOST = Trouble(IncidentKind.AGENT_LOST, "task-1", "engine", "The agent was killed.", ("run-1",))


@pytest.fixture(params=["memory", "sqlite"])
async def book(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[IncidentStore]:
    async with AsyncExitStack() as stack:
        if request.param == "memory":
            yield MemoryIncidentStore()
        else:
            yield SqliteIncidentStore(await opened(stack, tmp_path / "ccm.db"))


async def test_an_incident_is_open_until_it_is_closed(book: IncidentStore) -> None:
    opened_one = await book.open(LOST, AT)
    assert opened_one == Incident(opened_one.seq, LOST, AT)
    closed = await book.close(LOST.kind, LOST.subject, LATER, "a new try")
    assert closed == replace(opened_one, recovered_at=LATER, recovered_by="a new try")
    assert await book.incidents(IncidentQuery()) == [closed]
    assert await book.incidents(IncidentQuery(open_only=True)) == []


async def test_the_same_trouble_is_one_open_incident(book: IncidentStore) -> None:
    first = await book.open(LOST, AT)
    second = await book.open(replace(LOST, detail="Killed again.", run_ids=("run-2",)), LATER)
    assert (second.seq, second.opened_at, second.attempts) == (first.seq, AT, 2)
    assert (second.trouble.detail, second.trouble.run_ids) == ("Killed again.", ("run-1", "run-2"))


async def test_what_is_closed_opens_anew(book: IncidentStore) -> None:
    first = await book.open(LOST, AT)
    await book.close(LOST.kind, LOST.subject, AT, "a new try")
    second = await book.open(LOST, LATER)
    assert second.seq > first.seq
    assert await book.incidents(IncidentQuery(open_only=True)) == [second]
    assert await book.incidents(IncidentQuery(before=second.seq, limit=1)) == [
        replace(first, recovered_at=AT, recovered_by="a new try")
    ]


async def test_closing_what_is_not_open_is_nothing(book: IncidentStore) -> None:
    await book.open(LOST, AT)
    assert await book.close(IncidentKind.AGENT_LOST, "task-2", LATER, "x") is None
    assert await book.close(IncidentKind.CRASH_LOOP, "task-1", LATER, "x") is None
