"""A tool that ends costs the same, however many requests its run had before."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from ccm_orchestrator.adapters.sqlite.journal import SqliteJournal
from ccm_orchestrator.fakes.clock import START, FakeClock
from tests.conformance.test_journal import ASKED
from tests.unit.sqlite.files import Opener


async def test_requests_behind_the_first_older_one_are_not_read(open_database: Opener) -> None:
    database = await open_database()
    journal = SqliteJournal(database, FakeClock())
    for number in range(3):
        asked = replace(ASKED, request_id=f"perm{number}", created_at=START + timedelta(seconds=number))
        await journal.add_permission(asked)
    unreadable = "UPDATE permissions SET request = 'no document' WHERE request_id = 'perm0'"
    await database.write(lambda c: c.execute(unreadable).rowcount)
    since = await journal.permissions_since(ASKED.run_id, START + timedelta(seconds=2))
    assert [request.request_id for request in since] == ["perm2"]
