"""Run directories as files; tests/integration has their processes."""

import fcntl
import json
import logging
import os
import signal
import stat
import subprocess
import time
from pathlib import Path

import pytest

from ccm_orchestrator.adapters.clock import SystemClock
from ccm_orchestrator.adapters.rundir import RunDirectories, lock, processes
from ccm_orchestrator.domain.run import ProcessRef
from ccm_orchestrator.errors import StoreUnavailable, WrongStatus
from ccm_orchestrator.ports.launching import Launch, Ticket

RUN_ID = "b" * 32
LAUNCH = Launch(argv=("true",), env={"SECRET": "x"}, cwd=Path("/"), files={"prompt.txt": b"hello"})


@pytest.fixture
def pad(tmp_path: Path) -> RunDirectories:
    return RunDirectories(tmp_path / "state", memory_limit_bytes=77)


def own_start() -> str:
    return Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19]


def leave_start_record(pad: RunDirectories, agent: dict[str, object], boot_id: str | None = None) -> None:
    dead = {"pid": 2**22 - 1, "start": "1"}
    record = {"launcher": dead, "agent": agent, "boot_id": boot_id or processes.boot_id(), "cgroup": None}
    (pad.directory(RUN_ID) / "run.json").write_text(json.dumps(record))


async def test_everything_is_private(pad: RunDirectories) -> None:
    old = os.umask(0)
    try:
        await pad.prepare(RUN_ID, 1, LAUNCH)
    finally:
        os.umask(old)
    for directory in (pad.directory(RUN_ID), pad.spool_directory(RUN_ID)):
        assert stat.S_IMODE(directory.stat().st_mode) == 0o700
        assert {stat.S_IMODE(path.stat().st_mode) for path in directory.iterdir()} <= {0o600}
    assert (pad.directory(RUN_ID) / "prompt.txt").read_bytes() == b"hello"


async def test_only_our_own_ids_and_paths_are_in_the_command(pad: RunDirectories) -> None:
    argv = await pad.prepare(RUN_ID, 1, LAUNCH)
    assert list(argv[1:3]) == ["-I", "-S"]
    assert argv[-1] == str(pad.directory(RUN_ID))
    launch = json.loads((pad.directory(RUN_ID) / "launch.json").read_text())
    assert (launch["memory_limit_bytes"], launch["env"]) == (77, {"SECRET": "x", "CCM_RUN_ID": RUN_ID})


async def test_a_newer_ticket_revokes_the_older_one(pad: RunDirectories) -> None:
    for term in (1, 2):
        await pad.prepare(RUN_ID, term, LAUNCH)
    tickets = sorted(path.name for path in pad.directory(RUN_ID).glob("ticket.*"))
    assert tickets == ["ticket.1.revoked", "ticket.2.issued"]
    assert (await pad.trace(RUN_ID)).ticket is Ticket.ISSUED


async def test_a_started_run_is_not_prepared_again(pad: RunDirectories) -> None:
    await pad.prepare(RUN_ID, 1, LAUNCH)
    (pad.directory(RUN_ID) / "ticket.1.issued").rename(pad.directory(RUN_ID) / "ticket.1.redeemed")
    with pytest.raises(WrongStatus, match="started before"):
        await pad.prepare(RUN_ID, 2, LAUNCH)


async def test_a_directory_that_cannot_be_written_is_a_store_error(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("in the way")
    with pytest.raises(StoreUnavailable, match="cannot be written"):
        await RunDirectories(tmp_path).prepare(RUN_ID, 1, LAUNCH)


async def test_a_process_is_alive_by_its_number_and_its_start(pad: RunDirectories) -> None:
    await pad.prepare(RUN_ID, 1, LAUNCH)
    leave_start_record(pad, {"pid": os.getpid(), "start": own_start()})
    assert (await pad.trace(RUN_ID)).agent_alive
    leave_start_record(pad, {"pid": os.getpid(), "start": str(int(own_start()) - 1)})
    assert not (await pad.trace(RUN_ID)).agent_alive
    leave_start_record(pad, {"pid": os.getpid(), "start": own_start()}, boot_id="another")
    assert not (await pad.trace(RUN_ID)).agent_alive


async def test_a_stranger_with_the_agents_number_is_never_signalled(
    pad: RunDirectories, bystander: subprocess.Popen[bytes]
) -> None:
    await pad.prepare(RUN_ID, 1, LAUNCH)
    for start, boot_id in (("1", None), (processes_start(bystander.pid), "another")):
        leave_start_record(pad, {"pid": bystander.pid, "start": start}, boot_id)
        assert not await pad.interrupt(RUN_ID)
        assert not await pad.terminate(RUN_ID)
        assert not await pad.kill(RUN_ID)
    assert bystander.poll() is None


def processes_start(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]


def test_a_zombie_is_dead() -> None:
    with subprocess.Popen(["sleep", "1000"]) as child:
        reference = ProcessRef(child.pid, processes_start(child.pid))
        assert processes.alive(reference)
        child.kill()
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert not processes.alive(reference)
        assert not processes.send(reference, signal.SIGTERM)


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"agent": 3}', "\0" * 100])
async def test_a_damaged_record_counts_as_missing_and_is_reported(
    pad: RunDirectories, caplog: pytest.LogCaptureFixture, content: str
) -> None:
    await pad.prepare(RUN_ID, 1, LAUNCH)
    for name in ("run.json", "exit.json"):
        (pad.directory(RUN_ID) / name).write_text(content)
    with caplog.at_level(logging.ERROR):
        trace = await pad.trace(RUN_ID)
    assert (trace.agent, trace.exit) == (None, None)
    assert [record.name for record in caplog.records] == ["ccm_orchestrator.adapters.rundir.records"] * 2


async def test_nothing_is_known_of_a_run_that_never_was(pad: RunDirectories) -> None:
    trace = await pad.trace(RUN_ID)
    assert (trace.lock_held, trace.ticket, trace.agent, trace.exit) == (False, Ticket.NONE, None, None)
    assert await pad.revoke(RUN_ID) is Ticket.NONE
    assert await pad.read_file(RUN_ID, "stream.jsonl") == b""
    assert list(await pad.spooled(RUN_ID)) == []
    assert not await pad.kill(RUN_ID)


async def test_files_are_read_from_where_one_left_off(pad: RunDirectories) -> None:
    await pad.prepare(RUN_ID, 1, LAUNCH)
    content = b"0123456789" * 500_000
    (pad.directory(RUN_ID) / "stream.jsonl").write_bytes(content)
    assert await pad.read_file(RUN_ID, "stream.jsonl") == content
    assert await pad.read_file(RUN_ID, "stream.jsonl", 4_999_997) == b"789"
    assert await pad.read_file(RUN_ID, "stream.jsonl", 9_000_000) == b""


async def test_the_sweep_takes_what_is_old_and_nobodys(pad: RunDirectories) -> None:
    old, kept, young, locked = ("c" * 32, "d" * 32, "e" * 32, "f" * 32)
    for run_id in (old, kept, young, locked):
        await pad.prepare(run_id, 1, LAUNCH)
    for run_id in (old, kept, locked):
        os.utime(pad.directory(run_id), (time.time() - 1000,) * 2)
    with (pad.directory(locked) / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert await pad.sweep(frozenset({kept}), older_than_s=500) == 1
    assert [pad.directory(run_id).exists() for run_id in (old, kept, young, locked)] == [False, True, True, True]
    assert not pad.spool_directory(old).exists()


def test_the_clock_is_aware_and_uptime_never_steps() -> None:
    clock = SystemClock()
    assert clock.now().tzinfo is not None
    before_s = float(Path("/proc/uptime").read_text().split()[0])
    assert 0 <= clock.uptime_s() - before_s < 60


async def test_a_launcher_that_begins_during_a_look_is_not_taken_for_dead(
    pad: RunDirectories, monkeypatch: pytest.MonkeyPatch
) -> None:
    await pad.prepare(RUN_ID, 1, LAUNCH)
    directory = pad.directory(RUN_ID)
    look, begun = lock.held, list[int]()

    def begin_after_the_first_look(where: Path) -> bool:
        found = look(where)
        if not begun:
            begun.append(os.open(where / "lock", os.O_RDWR | os.O_CREAT, 0o600))
            fcntl.flock(begun[0], fcntl.LOCK_EX)
            (directory / "ticket.1.issued").rename(directory / "ticket.1.redeemed")
        return found

    monkeypatch.setattr(lock, "held", begin_after_the_first_look)
    trace = await pad.trace(RUN_ID)
    os.close(begun[0])
    assert (trace.ticket, trace.lock_held) == (Ticket.REDEEMED, True)


async def test_a_launcher_that_died_without_a_record_is_still_found_out(pad: RunDirectories) -> None:
    await pad.prepare(RUN_ID, 1, LAUNCH)
    (pad.directory(RUN_ID) / "ticket.1.issued").rename(pad.directory(RUN_ID) / "ticket.1.redeemed")
    trace = await pad.trace(RUN_ID)
    assert (trace.ticket, trace.lock_held, trace.exit) == (Ticket.REDEEMED, False, None)
