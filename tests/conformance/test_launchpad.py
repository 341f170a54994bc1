"""What every launchpad does: with real launchers, and in memory."""

import asyncio
import os
import secrets
import signal
import time
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Protocol

import pytest

from ccm_orchestrator.errors import WrongStatus
from ccm_orchestrator.fakes.clock import FakeClock
from ccm_orchestrator.fakes.launchpad import FakeLaunchpad
from ccm_orchestrator.ports.launching import Launch, Launchpad, RunTrace, Ticket
from tests.launching import ENVIRONMENT, PATIENCE_S, Launchers, StartedLauncher

WORK = 'echo > "$RUN/ready"; while ! [ -e "$RUN/end" ]; do sleep 0.02; done; exit 5'
DEAF_WORK = f"trap '' TERM INT; {WORK}"


class World(Protocol):
    """A launchpad, and what happens around it."""

    @property
    def pad(self) -> Launchpad: ...

    async def prepare(self, run_id: str, deaf: bool = False) -> Sequence[str]:
        """For an agent that works until somebody ends it; a deaf one ignores SIGTERM and SIGINT."""

    async def open_window(self, run_id: str) -> None:
        """The launcher starts, and so does the agent, if it may."""

    async def crash(self, run_id: str) -> None:
        """Agent and launcher die without a record."""

    async def finish(self, run_id: str) -> None:
        """The agent ends by itself with exit code 5."""

    async def hook(self, run_id: str, name: str, raw: bytes) -> None: ...

    async def write(self, run_id: str, name: str, content: bytes) -> None: ...

    async def close(self) -> None: ...


class FakeWorld:
    def __init__(self, _: Path) -> None:
        self.pad = FakeLaunchpad(FakeClock())
        self._deaf: set[str] = set()

    async def prepare(self, run_id: str, deaf: bool = False) -> Sequence[str]:
        self._deaf |= {run_id} if deaf else set()
        return await self.pad.prepare(run_id, 1, Launch(("agent",), {}, Path("/"), {"prompt.txt": b"hello"}))

    async def open_window(self, run_id: str) -> None:
        if self.pad.start(run_id) and run_id in self._deaf:
            self.pad.runs[run_id].deaf_to |= {signal.SIGTERM, signal.SIGINT}

    async def crash(self, run_id: str) -> None:
        self.pad.vanish(run_id)

    async def finish(self, run_id: str) -> None:
        self.pad.end(run_id, exit_code=5)

    async def hook(self, run_id: str, name: str, raw: bytes) -> None:
        self.pad.hook(run_id, name, raw)

    async def write(self, run_id: str, name: str, content: bytes) -> None:
        self.pad.write(run_id, name, content)

    async def close(self) -> None: ...


class RealWorld:
    def __init__(self, directory: Path) -> None:
        self._launchers = Launchers(directory)
        self.pad = self._launchers.make_pad(stop_grace_s=PATIENCE_S)
        self._commands: dict[str, Sequence[str]] = {}
        self._windows: dict[str, StartedLauncher] = {}
        self._events = 0

    async def prepare(self, run_id: str, deaf: bool = False) -> Sequence[str]:
        env = {**ENVIRONMENT, "RUN": str(self.pad.directory(run_id))}
        argv = ("sh", "-c", DEAF_WORK if deaf else WORK)
        files = {"prompt.txt": b"hello"}
        self._commands[run_id] = await self.pad.prepare(run_id, 1, Launch(argv, env, Path("/"), files))
        return self._commands[run_id]

    async def open_window(self, run_id: str) -> None:
        window = self._windows[run_id] = self._launchers.open(run_id, self._commands[run_id])
        ready = self.pad.directory(run_id) / "ready"
        await until(lambda: window.process.poll() is not None or ready.exists(), "the agent works, or never will")

    async def crash(self, run_id: str) -> None:
        self._windows[run_id].process.kill()

    async def finish(self, run_id: str) -> None:
        (self.pad.directory(run_id) / "end").touch()

    async def hook(self, run_id: str, name: str, raw: bytes) -> None:
        self._events += 1
        path = self.pad.spool_directory(run_id) / f"{name}.{self._events}.0.json"
        path.write_bytes(raw)
        os.utime(path, ns=(self._events, self._events))

    async def write(self, run_id: str, name: str, content: bytes) -> None:
        with (self.pad.directory(run_id) / name).open("ab") as file:
            file.write(content)

    async def close(self) -> None:
        await self._launchers.clean_up()


async def until(condition: Callable[[], bool], what: str) -> None:
    deadline_s = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline_s, what
        await asyncio.sleep(0.01)


async def ended(world: World, run_id: str) -> RunTrace:
    """The trace once launcher and agent are gone."""
    deadline_s = time.monotonic() + PATIENCE_S
    while (trace := await world.pad.trace(run_id)).lock_held or trace.agent_alive:
        assert time.monotonic() < deadline_s
        await asyncio.sleep(0.01)
    return trace


@pytest.fixture(params=[FakeWorld, RealWorld], ids=["fake", "real"])
async def world(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[World]:
    made: World = request.param(tmp_path)
    yield made
    await made.close()


@pytest.fixture
def run_id() -> str:
    return secrets.token_hex(16)


async def test_a_prepared_run_has_a_ticket_and_nothing_else(world: World, run_id: str) -> None:
    await world.prepare(run_id)
    expected = RunTrace(lock_held=False, ticket=Ticket.ISSUED, agent=None, agent_alive=False, exit=None)
    assert await world.pad.trace(run_id) == expected
    assert await world.pad.read_file(run_id, "prompt.txt") == b"hello"


async def test_a_started_run_is_locked_and_its_agent_lives(world: World, run_id: str) -> None:
    await world.prepare(run_id)
    await world.open_window(run_id)
    trace = await world.pad.trace(run_id)
    assert (trace.lock_held, trace.ticket, trace.agent_alive, trace.exit) == (True, Ticket.REDEEMED, True, None)
    assert trace.agent is not None


async def test_a_revoked_ticket_starts_nothing(world: World, run_id: str) -> None:
    await world.prepare(run_id)
    assert await world.pad.revoke(run_id) is Ticket.REVOKED
    await world.open_window(run_id)
    trace = await ended(world, run_id)
    assert (trace.ticket, trace.agent) == (Ticket.REVOKED, None)


async def test_a_redeemed_ticket_cannot_be_revoked(world: World, run_id: str) -> None:
    await world.prepare(run_id)
    await world.open_window(run_id)
    assert await world.pad.revoke(run_id) is Ticket.REDEEMED
    assert (await world.pad.trace(run_id)).agent_alive


async def test_an_unstarted_run_can_be_prepared_again_and_a_started_one_never(world: World, run_id: str) -> None:
    await world.prepare(run_id)
    await world.pad.revoke(run_id)
    await world.prepare(run_id)
    assert (await world.pad.trace(run_id)).ticket is Ticket.ISSUED
    await world.open_window(run_id)
    with pytest.raises(WrongStatus):
        await world.prepare(run_id)


async def test_the_end_of_an_agent_is_recorded(world: World, run_id: str) -> None:
    await world.prepare(run_id)
    await world.open_window(run_id)
    await world.finish(run_id)
    record = (await ended(world, run_id)).exit
    assert record is not None
    assert (record.exit_code, record.signal, record.reason) == (5, None, "exited")
    assert record.ended_at.tzinfo is not None


async def test_a_crash_leaves_no_record(world: World, run_id: str) -> None:
    await world.prepare(run_id)
    await world.open_window(run_id)
    await world.crash(run_id)
    trace = await ended(world, run_id)
    assert (trace.exit, trace.ticket) == (None, Ticket.REDEEMED)
    assert trace.agent is not None


async def test_terminate_is_recorded_as_our_wish(world: World, run_id: str) -> None:
    await world.prepare(run_id)
    await world.open_window(run_id)
    assert await world.pad.terminate(run_id)
    record = (await ended(world, run_id)).exit
    assert record is not None
    assert record.reason == "terminated"


async def test_a_deaf_agent_is_ended_by_kill_alone(world: World, run_id: str) -> None:
    await world.prepare(run_id, deaf=True)
    await world.open_window(run_id)
    assert await world.pad.interrupt(run_id)
    assert await world.pad.terminate(run_id)
    assert (await world.pad.trace(run_id)).agent_alive
    assert await world.pad.kill(run_id)
    record = (await ended(world, run_id)).exit
    assert record is not None
    assert (record.signal, record.reason) == (signal.SIGKILL, "terminated")


async def test_the_dead_and_the_unborn_cannot_be_signalled(world: World, run_id: str) -> None:
    await world.prepare(run_id)
    for act in (world.pad.interrupt, world.pad.terminate, world.pad.kill):
        assert not await act(run_id)
    await world.open_window(run_id)
    await world.finish(run_id)
    await ended(world, run_id)
    for act in (world.pad.interrupt, world.pad.terminate, world.pad.kill):
        assert not await act(run_id)
        assert not await act("f" * 32)


async def test_a_file_grows(world: World, run_id: str) -> None:
    await world.prepare(run_id)
    assert await world.pad.read_file(run_id, "stream.jsonl") == b""
    await world.write(run_id, "stream.jsonl", b"one\n")
    await world.write(run_id, "stream.jsonl", b"two\n")
    assert await world.pad.read_file(run_id, "stream.jsonl", 4) == b"two\n"


async def test_hook_events_wait_in_order_until_they_are_discarded(world: World, run_id: str) -> None:
    await world.prepare(run_id)
    for name in ("SessionStart", "PreToolUse", "Stop"):
        await world.hook(run_id, name, f'"{name}"'.encode())
    first = await world.pad.spooled(run_id, limit=2)
    assert [record.hook_event_name for record in first] == ["SessionStart", "PreToolUse"]
    assert [record.raw for record in first] == [b'"SessionStart"', b'"PreToolUse"']
    await world.pad.discard(first)
    await world.pad.discard(first)
    [last] = await world.pad.spooled(run_id)
    assert (last.hook_event_name, last.run_id) == ("Stop", run_id)
    assert last.event_id not in {record.event_id for record in first}


async def test_the_sweep_spares_the_kept_and_the_living(world: World, run_id: str) -> None:
    kept, living = secrets.token_hex(16), secrets.token_hex(16)
    for prepared in (run_id, kept, living):
        await world.prepare(prepared)
    await world.open_window(living)
    assert await world.pad.sweep(frozenset({kept}), older_than_s=1000) == 0
    assert await world.pad.sweep(frozenset({kept}), older_than_s=-1) == 1
    tickets = [(await world.pad.trace(swept)).ticket for swept in (run_id, kept, living)]
    assert tickets == [Ticket.NONE, Ticket.ISSUED, Ticket.REDEEMED]


async def test_a_condemned_run_never_starts_and_stays_condemned(world: World) -> None:
    run_id = secrets.token_hex(16)
    assert not await world.pad.condemned(run_id)
    await world.prepare(run_id)
    await world.pad.condemn(run_id)
    await world.open_window(run_id)
    assert (await ended(world, run_id)).agent is None
    assert await world.pad.condemned(run_id) and await world.pad.living() == set()


async def test_who_lives_is_found_without_being_named(world: World) -> None:
    run_id = secrets.token_hex(16)
    await world.prepare(run_id)
    assert await world.pad.living() == set()
    await world.open_window(run_id)
    assert await world.pad.living() == {run_id}
    await world.finish(run_id)
    await ended(world, run_id)
    assert await world.pad.living() == set()
