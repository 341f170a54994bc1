"""What becomes of a permission request, what is told of it and who did it are stored together, or not at all."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import pytest

from ccm_orchestrator.adapters.sqlite.audit import SqliteAuditLog
from ccm_orchestrator.adapters.sqlite.database import Database
from ccm_orchestrator.adapters.sqlite.events import SqliteEventStore
from ccm_orchestrator.adapters.sqlite.journal import SqliteJournal
from ccm_orchestrator.domain.audit import entry_of
from ccm_orchestrator.domain.caller import Caller, CallerKind
from ccm_orchestrator.domain.dialogue import PermissionRequest, PermissionStatus
from ccm_orchestrator.domain.events import BusEvent, EventKind
from ccm_orchestrator.errors import StoreError, WrongStatus
from ccm_orchestrator.fakes.clock import START, FakeClock
from ccm_orchestrator.fakes.memory_audit import MemoryAuditLog
from ccm_orchestrator.fakes.memory_journal import MemoryEventStore, MemoryJournal
from ccm_orchestrator.ports.audit import AuditLog, AuditQuery
from ccm_orchestrator.ports.beside import Beside
from ccm_orchestrator.ports.journal import EventStore, Journal
from tests.conformance.test_acceptance import break_table
from tests.conformance.test_journal import ASKED, VERDICT


@dataclass
class Desk:
    journal: Journal
    events: EventStore
    audit: AuditLog

    async def told(self) -> list[str]:
        """The statuses that the events tell, then those of the entries."""
        events = [str(stored.event.data["status"]) for stored in await self.events.read(0)]
        return events + [record.entry.target for record in reversed(await self.audit.read(AuditQuery()))]


def telling(request: PermissionRequest) -> Beside:
    status = request.status.value
    event = BusEvent(EventKind.PERMISSION_DECIDED, START, data={"status": status})
    return Beside((event,), entry_of(Caller(CallerKind.DAEMON, "rule:r"), START, "settled", status, 200))


async def add(journal: Journal) -> object:
    return await journal.add_permission(ASKED, telling(ASKED))


async def decide(journal: Journal) -> object:
    return await journal.decide_permission(ASKED.request_id, VERDICT, telling)


async def reopen(journal: Journal) -> None:
    await journal.reopen_permission(ASKED.request_id, telling)


async def overrule(journal: Journal) -> object:
    return await journal.overrule_permission(ASKED.request_id, telling)


async def close(journal: Journal) -> object:
    return await journal.close_permission(ASKED.request_id, PermissionStatus.EXPIRED, telling)


Change = Callable[[Journal], Awaitable[object]]
CHANGES = [
    pytest.param([], add, "open", id="added"),
    pytest.param([add], decide, "decided", id="decided"),
    pytest.param([add, decide], reopen, "open", id="reopened"),
    pytest.param([add, decide], overrule, "answered_elsewhere", id="overruled"),
    pytest.param([add], close, "expired", id="closed"),
]


@pytest.fixture(params=["memory", "sqlite"])
async def desk(request: pytest.FixtureRequest, database: Database) -> Desk:
    if request.param == "sqlite":
        return stored(database)
    events, audit = MemoryEventStore(), MemoryAuditLog()
    return Desk(MemoryJournal(FakeClock(), events, audit), events, audit)


def stored(database: Database) -> Desk:
    return Desk(SqliteJournal(database, FakeClock()), SqliteEventStore(database), SqliteAuditLog(database))


@pytest.mark.parametrize(("before", "change", "status"), CHANGES)
async def test_a_change_is_told_as_it_is_then(desk: Desk, before: list[Change], change: Change, status: str) -> None:
    for earlier in before:
        await earlier(desk.journal)
    known = len(before)
    await change(desk.journal)
    told = await desk.told()
    assert (told[known], told[-1]) == (status, status) and len(told) == 2 * known + 2


async def test_what_changes_nothing_tells_nothing(desk: Desk) -> None:
    await reopen(desk.journal)
    assert not await overrule(desk.journal) and not await close(desk.journal)
    assert await desk.told() == []
    assert await add(desk.journal) and not await add(desk.journal)
    await close(desk.journal)
    with pytest.raises(WrongStatus):
        await decide(desk.journal)
    assert await desk.told() == ["open", "expired", "open", "expired"]


@pytest.mark.parametrize(("before", "change", "status"), CHANGES)
async def test_all_of_it_takes_one_commit(
    database: Database, before: list[Change], change: Change, status: str
) -> None:
    desk = stored(database)
    for earlier in before:
        await earlier(desk.journal)
    said: list[str] = []
    assert database._writer is not None
    database._writer.set_trace_callback(said.append)
    await change(desk.journal)
    assert said.count("COMMIT") == 1 and (await desk.told())[-1] == status


@pytest.mark.parametrize(("before", "change", "status"), CHANGES[1:])
async def test_what_cannot_be_told_is_not_done(
    database: Database, before: list[Change], change: Change, status: str
) -> None:
    desk = stored(database)
    for earlier in before:
        await earlier(desk.journal)
    known = await desk.journal.permission(ASKED.request_id)
    await database.write(lambda c: break_table(c, "events"))
    with pytest.raises(StoreError):
        await change(desk.journal)
    assert await desk.journal.permission(ASKED.request_id) == known


async def test_an_audit_log_that_cannot_be_written_stops_no_answer(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    desk = stored(database)
    await add(desk.journal)
    await database.write(lambda c: break_table(c, "audit_log"))
    with caplog.at_level(logging.ERROR):
        await decide(desk.journal)
    assert (await desk.journal.permission(ASKED.request_id)).verdict == VERDICT
    assert "the audit log cannot be written" in caplog.text and "rule:r settled decided" in caplog.text
