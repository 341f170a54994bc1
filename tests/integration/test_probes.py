"""What the daemon looks at, each thing really broken and mended."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import AsyncExitStack, closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ccm_orchestrator.adapters.rundir import RunDirectories
from ccm_orchestrator.adapters.sqlite.incidents import SqliteIncidentStore
from ccm_orchestrator.adapters.supabase.health import HealthRecorder
from ccm_orchestrator.domain.incidents import IncidentKind, Trouble
from ccm_orchestrator.domain.run import Mode, Run, RunState
from ccm_orchestrator.engine.incident_watch import Probe
from ccm_orchestrator.errors import StoreUnavailable
from ccm_orchestrator.fakes.clock import FakeClock
from ccm_orchestrator.fakes.memory_journal import MemoryJournal
from ccm_orchestrator.wiring.probes import (
    ClockProbe,
    DatabaseProbe,
    DiskProbe,
    SpoolProbe,
    TerminalProbe,
    supabase_probes,
)
from tests.stores import opened
from tests.terminals import Tmux, ended, new_run_id

RUN = "a" * 32


def kinds(found: Sequence[Trouble] | None) -> list[IncidentKind] | None:
    return None if found is None else [trouble.kind for trouble in found]


def run_of(window: object = None) -> Run:
    return Run(
        run_id=RUN,
        task_id="1",
        fence=1,
        attempt=1,
        term=0,
        project="demo",
        driver="claude",
        profile="executor",
        mode=Mode.INTERACTIVE,
        state=RunState.RUNNING,
        cwd=Path("/"),
        window=window,  # type: ignore[arg-type]
        session_id="5bb48bdc",
        resumed=False,
        created_at=datetime.now(UTC),
    )


@pytest.mark.tmux
async def test_a_tmux_server_that_was_killed_is_noticed_and_started_anew(tmux: Tmux) -> None:
    terminal, journal = tmux.terminal(), MemoryJournal(FakeClock())
    await terminal.start()
    window = await terminal.open_window(new_run_id(), ["sleep", "60"])
    await journal.save_run(run_of(window), 0)
    probe = TerminalProbe(terminal, journal, "ccm")
    assert await probe.look() == []
    server = tmux.server()
    server.kill()
    await ended(server)
    (trouble,) = await probe.look() or ()
    assert (trouble.kind, trouble.run_ids) == (IncidentKind.TMUX_SERVER_LOST, (RUN,))
    assert f"pid {server.pid}" in trouble.detail
    assert await probe.look() == []
    assert tmux.server().pid != server.pid


@pytest.mark.tmux
async def test_a_tmux_server_that_hangs_is_an_incident_until_it_answers(tmux: Tmux) -> None:
    terminal = tmux.terminal(timeout_s=0.3)
    await terminal.start()
    probe = TerminalProbe(terminal, MemoryJournal(FakeClock()), "ccm")
    assert await probe.look() == []
    server = tmux.server()
    server.suspend()
    try:
        assert await probe.look() is None, "one answer that does not come is no proof yet"
        assert kinds(await probe.look()) == [IncidentKind.TMUX_SERVER_LOST]
    finally:
        server.resume()
    assert await probe.look() == []


async def test_a_database_that_takes_no_writes_is_noticed_though_nobody_writes(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        database = await opened(stack, tmp_path / "ccm.db")
        probe = DatabaseProbe(database, SqliteIncidentStore(database))
        await database.write(lambda c: c.execute("INSERT INTO incident_cursor VALUES (1, 7)"))
        assert await probe.look() == []
        await database.write(lambda c: c.execute("PRAGMA busy_timeout = 1"))
        with closing(sqlite3.connect(database.path, isolation_level=None)) as somebody:
            somebody.execute("BEGIN IMMEDIATE")
            for _ in range(6):
                found = await probe.look()
            (trouble,) = found or ()
            assert trouble.kind is IncidentKind.DATABASE_UNWRITABLE and "has locked it" in trouble.detail
            await database.read(lambda c: c.execute("SELECT 1").fetchone())
            assert kinds(await probe.look()) == [IncidentKind.DATABASE_UNWRITABLE]
        assert await probe.look() == []
        assert await SqliteIncidentStore(database).cursor() == 7


async def test_a_database_that_takes_small_writes_and_refuses_others_is_unwritable(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        database = await opened(stack, tmp_path / "ccm.db")
        probe = DatabaseProbe(database, SqliteIncidentStore(database))

        async def refused() -> None:
            with pytest.raises(StoreUnavailable):
                await database.write(lambda c: c.execute("INSERT INTO pad VALUES (zeroblob(1000000))"))

        await database.write(lambda c: c.execute("CREATE TABLE pad (it BLOB)"))
        pages = await database.read(lambda c: c.execute("PRAGMA page_count").fetchone()[0])
        await database.write(lambda c: c.execute(f"PRAGMA max_page_count = {pages + 4}"))
        assert await probe.look() == []
        await refused()
        assert await probe.look() == [], "it may have been a large one"
        for _ in range(2):
            await refused()
            (trouble,) = await probe.look() or ()
            assert trouble.kind is IncidentKind.DATABASE_UNWRITABLE and "disk is full" in trouble.detail
        assert await probe.look() == []


@dataclass
class Disk:
    f_bavail: int
    f_blocks: int = 1000
    f_frsize: int = 1_000_000


async def test_a_disk_is_full_until_there_is_room_enough(tmp_path: Path) -> None:
    disk = Disk(20)
    probe = DiskProbe(tmp_path, lambda _path: disk)
    assert await probe.look() == []
    disk.f_bavail = 19
    assert kinds(await probe.look()) == [IncidentKind.DISK_FULL]
    disk.f_bavail = 39
    assert kinds(await probe.look()) == [IncidentKind.DISK_FULL]
    disk.f_bavail = 40
    assert await probe.look() == []
    assert kinds(await DiskProbe(tmp_path / "gone").look()) is None
    assert kinds(await DiskProbe(tmp_path).look()) is not None


async def test_what_agents_report_must_not_wait_for_long(tmp_path: Path) -> None:
    clock = FakeClock(datetime.now(UTC))
    journal, launchpad = MemoryJournal(clock), RunDirectories(tmp_path)
    probe = SpoolProbe(journal, launchpad, clock, "desk")
    spool = launchpad.spool_directory(RUN)
    spool.mkdir(parents=True)
    (spool / "Stop.1.1.json").write_text("{}")
    clock.advance(31)
    assert await probe.look() == [], "what a run left that is over waits for nobody"
    await journal.save_run(run_of(), 0)
    (trouble,) = await probe.look() or ()
    assert (trouble.kind, trouble.subject, trouble.run_ids) == (IncidentKind.HOOK_BACKLOG, "desk", (RUN,))
    await launchpad.discard(await launchpad.spooled(RUN))
    assert await probe.look() == []


async def test_a_clock_that_is_set_is_seen_once_and_a_suspended_machine_is_no_jump() -> None:
    clock = FakeClock()
    probe = ClockProbe(clock, "desk")
    assert await probe.look() == []
    clock.advance(8 * 3600)
    assert await probe.look() == []
    clock.set_back(3600)
    (trouble,) = await probe.look() or ()
    assert trouble.kind is IncidentKind.CLOCK_JUMP and "back by 3600 s" in trouble.detail
    assert await probe.look() == []
    clock.set_back(-20)
    assert await probe.look() == []


def remote(clock: FakeClock, realtime: bool = True) -> tuple[HealthRecorder, list[Probe]]:
    recorder = HealthRecorder(clock.now)
    return recorder, supabase_probes(recorder.snapshot, clock, realtime)


async def test_a_store_that_is_away_for_a_moment_is_no_incident() -> None:
    clock = FakeClock()
    recorder, (store, realtime) = remote(clock)
    recorder.answered()
    recorder.subscriber("live", True)
    assert (await store.look(), await realtime.look()) == ([], [])
    recorder.failed(StoreUnavailable("It does not answer."))
    assert await store.look() is None
    clock.advance(30)
    (trouble,) = await store.look() or ()
    assert (trouble.kind, trouble.subject) == (IncidentKind.STORE_UNREACHABLE, "supabase")
    assert "It does not answer." in trouble.detail
    recorder.answered()
    assert await store.look() == []


async def test_realtime_that_is_away_is_an_incident_where_it_is_wanted() -> None:
    clock = FakeClock()
    recorder, (_, realtime) = remote(clock)
    recorder.answered()
    clock.advance(119)
    assert await realtime.look() is None
    clock.advance(1)
    assert kinds(await realtime.look()) == [IncidentKind.REALTIME_AWAY]
    recorder.subscriber("live", True)
    assert await realtime.look() == []
    assert len(remote(clock, realtime=False)[1]) == 1
