"""What every audit log promises."""

import sqlite3
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest

from ccm_orchestrator.adapters.sqlite.audit import SqliteAuditLog
from ccm_orchestrator.domain.audit import MAX_TARGET, AuditEntry, entry_of
from ccm_orchestrator.domain.caller import Caller, CallerKind
from ccm_orchestrator.errors import StoreError
from ccm_orchestrator.fakes.memory_audit import MemoryAuditLog
from ccm_orchestrator.ports.audit import AuditLog, AuditQuery
from tests.stores import opened

AT = datetime(2026, 11, 25, 12, 0, 0, 123, tzinfo=UTC)
ENTRY = AuditEntry(
    at=AT,
    caller="ccm_1a2b",
    kind=CallerKind.KEY,
    owner="user-1",
    source="192.0.2.7",
    action="POST /api/tasks/{task_id}/stop",
    target="/api/tasks/aaaa/stop",
    status=202,
    before={"status": "running"},
    after={"status": "running", "cancel_requested": True},
)


@pytest.fixture(params=["memory", "sqlite"])
async def audit(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[AuditLog]:
    async with AsyncExitStack() as stack:
        if request.param == "memory":
            yield MemoryAuditLog()
        else:
            yield SqliteAuditLog(await opened(stack, tmp_path / "ccm.db"))


async def test_an_entry_comes_back_as_it_was_recorded(audit: AuditLog) -> None:
    bare = replace(ENTRY, owner=None, before=None, after=None, kind=CallerKind.LOCAL)
    await audit.record(ENTRY)
    await audit.record(bare)
    newest, oldest = await audit.read(AuditQuery())
    assert (newest.entry, oldest.entry) == (bare, ENTRY)
    assert newest.seq > oldest.seq


async def test_pages_go_backwards_and_meet_every_entry_once(audit: AuditLog) -> None:
    for number in range(7):
        await audit.record(replace(ENTRY, target=f"/{number}"))
    seen, before = list[str](), None
    while page := await audit.read(AuditQuery(limit=3, before=before)):
        seen += [record.entry.target for record in page]
        before = page[-1].seq
    assert seen == [f"/{number}" for number in reversed(range(7))]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        (AuditQuery(caller="local"), ["/b"]),
        (AuditQuery(action="stop"), ["/a"]),
        (AuditQuery(target="b"), ["/b"]),
        (AuditQuery(caller="local", action="stop"), []),
        (AuditQuery(action="%"), []),
    ],
)
async def test_entries_are_found_by_caller_action_and_target(
    audit: AuditLog, query: AuditQuery, found: list[str]
) -> None:
    await audit.record(replace(ENTRY, target="/a"))
    await audit.record(replace(ENTRY, target="/b", caller="local", action="POST /api/tasks"))
    assert [record.entry.target for record in await audit.read(query)] == found


async def test_half_characters_and_line_breaks_are_kept_as_far_as_text_can(audit: AuditLog) -> None:
    await audit.record(replace(ENTRY, target="/api/\n\x1b[31m", caller="ü"))
    (record,) = await audit.read(AuditQuery())
    assert (record.entry.target, record.entry.caller) == ("/api/\n\x1b[31m", "ü")


async def test_attack_49_what_is_recorded_can_be_neither_changed_nor_removed(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        database = await opened(stack, tmp_path / "ccm.db")
        audit = SqliteAuditLog(database)
        await audit.record(ENTRY)

        def attempt(statement: str) -> None:
            with sqlite3.connect(database.path) as connection:
                connection.execute(statement)
            connection.close()

        for statement in ("UPDATE audit_log SET caller = 'x'", "DELETE FROM audit_log"):
            with pytest.raises(StoreError, match="only grows"):
                await database.write(partial(_execute, statement=statement))
            with pytest.raises(sqlite3.IntegrityError, match="only grows"):
                attempt(statement)
        assert [record.entry for record in await audit.read(AuditQuery())] == [ENTRY]


def _execute(connection: sqlite3.Connection, statement: str) -> None:
    connection.execute(statement)


def test_a_path_of_any_length_becomes_a_target_that_can_be_shown() -> None:
    caller = Caller(CallerKind.LOCAL, "local", source="127.0.0.1")
    entry = entry_of(caller, AT, "DELETE /api/projects/{name}", "/" + "x" * 10_000, 404)
    assert len(entry.target) == MAX_TARGET and entry.target.endswith("…")
