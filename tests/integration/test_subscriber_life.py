"""The subscriber is started and stopped at any time, and neither its owner nor a dead server can end it."""

import asyncio
import logging
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import psycopg
import pytest

from ccm_orchestrator.adapters.supabase.liveness import Pace, SubscriberStatus
from ccm_orchestrator.adapters.supabase.loop import StoreLoop
from ccm_orchestrator.devstack.realtime.faults import REASONS
from ccm_orchestrator.devstack.realtime.server import RealtimeServer
from ccm_orchestrator.devstack.stack import LocalSupabase
from ccm_orchestrator.telemetry.logs import LogOptions, configure_logs
from tests.realtime import A, SocketHost, Tasks, eventually, token
from tests.subscribing import QUICK, Owner, no_loose_ends, owner

__all__ = ["no_loose_ends", "owner"]

STOP_S = 3.0
"""The store gives it so long."""


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def stop_in_time(owner: Owner) -> None:
    async with asyncio.timeout(STOP_S):
        await owner.subscriber.stop()
    assert owner.state.status is SubscriberStatus.STOPPED


@pytest.mark.slow
async def test_it_comes_back_after_the_server_was_away_for_20_seconds(
    owner: Owner, host: SocketHost, tasks: Tasks
) -> None:
    await owner.subscriber.start()
    await owner.until_live()
    await host.stop()
    await asyncio.sleep(20)  # sleeps because an outage of this length is what is tested
    assert owner.state.status in (SubscriberStatus.BACKING_OFF, SubscriberStatus.CONNECTING)
    began = time.monotonic()
    await host.start()
    await owner.recovers(tasks, f"20 s without a server (tried {owner.state.generation} times)", began)


async def test_it_waits_for_a_server_that_is_not_there_yet(owner: Owner, host: SocketHost, tasks: Tasks) -> None:
    await host.stop()
    await owner.subscriber.start()
    await owner.until_away("Connect call failed")
    await host.start()
    await owner.until_live()
    await owner.hears(tasks)


async def test_twenty_starts_and_stops_leave_nothing_behind(owner: Owner, server: RealtimeServer, tasks: Tasks) -> None:
    before, files = asyncio.all_tasks(), 0
    for turn in range(20):
        await owner.subscriber.start()
        await owner.subscriber.start()
        await owner.until_live()
        await stop_in_time(owner)
        await owner.subscriber.stop()
        await eventually(lambda: asyncio.all_tasks() == before and server.sockets == 0)
        files = files or open_files()
        assert open_files() <= files, f"turn {turn}"
    assert (owner.state.generation, owner.gaps) == (20, 20)
    await owner.subscriber.start()
    await owner.until_live()
    await owner.hears(tasks)


@pytest.mark.parametrize(
    "phase", ["starting", "taking a token", "joining", "not ready", "live", "half open", "backing off"]
)
async def test_it_stops_at_once_whatever_it_is_doing(
    owner: Owner, host: SocketHost, server: RealtimeServer, phase: str
) -> None:
    if phase == "joining":
        server.faults.slow_join_s = 60.0
    server.faults.never_ready = phase == "not ready"
    if phase == "backing off":
        server.faults.join_error = REASONS["users"]
    awaited = {
        "taking a token": lambda: owner.tokens_asked == 1,
        "joining": lambda: owner.state.status == "joining",
        "not ready": lambda: owner.state.status == "joining" and server.sockets == 1,
        "live": lambda: owner.live,
        "half open": lambda: owner.live,
        "backing off": lambda: owner.state.status == "backing_off",
    }
    before = open_files()
    await owner.subscriber.start()
    if phase in awaited:
        await eventually(awaited[phase])
    if phase == "half open":
        await server.freeze_sockets()
    began = time.monotonic()
    await asyncio.gather(stop_in_time(owner), stop_in_time(owner))
    assert time.monotonic() - began < (2.5 if phase in ("half open", "joining") else 1.0)
    await eventually(lambda: open_files() <= before + server.sockets, 5.0)


@pytest.fixture
async def black_hole() -> AsyncIterator[str]:
    """Takes connections and never says a word."""
    writers: list[asyncio.StreamWriter] = []
    server = await asyncio.start_server(lambda _, writer: writers.append(writer), "127.0.0.1", 0)
    yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    server.close()
    for writer in writers:
        writer.transport.abort()


async def test_a_server_that_says_nothing_is_left_after_a_while(no_loose_ends: None, black_hole: str) -> None:
    owner = Owner(black_hole, Pace(start_jitter_s=0.0, connect_s=0.3))
    await owner.subscriber.start()
    await owner.until_away("the server did not answer in time")
    await eventually(lambda: owner.state.generation == 3)
    await stop_in_time(owner)


@pytest.mark.parametrize("url", ["nonsense", "http://", "http://127.0.0.1:1", "ftp://127.0.0.1", "http://[::1"])
async def test_an_address_that_is_none_is_a_reason_and_shows_no_key(
    no_loose_ends: None, url: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "ccm_orchestrator")
    owner = Owner(url)
    await owner.subscriber.start()
    await owner.until_away()
    await stop_in_time(owner)
    key = token("anon").partition(".")[0]
    assert key not in str(owner.states)
    ours = [record.getMessage() for record in caplog.records if record.name.startswith("ccm_orchestrator")]
    assert ours and key not in str(ours)


@pytest.fixture
def daemon_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """As the daemon writes it at level debug."""
    levels = {name: logging.getLogger(name).level for name in ("", "httpx", "websockets", "realtime")}
    monkeypatch.setattr(logging.root, "handlers", [])
    configure_logs(tmp_path, LogOptions("debug"))
    yield tmp_path / "daemon.log"
    for handler in logging.root.handlers:
        handler.close()
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)


async def test_no_log_shows_a_key_a_token_or_a_row(
    daemon_log: Path, owner: Owner, server: RealtimeServer, tasks: Tasks
) -> None:
    await owner.subscriber.start()
    await owner.until_live()
    await tasks.add(dedup_key="a secret wish")
    await server.send_system_error("oops")
    await owner.recovers(tasks, "a system error", time.monotonic())
    broken = Owner("http://[::1")
    await broken.subscriber.start()
    await broken.until_away()
    await broken.subscriber.stop()
    log = daemon_log.read_text()
    assert "Realtime is live" in log and "Realtime is away" in log
    assert not [word for word in ("secret wish", token("anon").partition(".")[0]) if word in log]


async def test_without_a_token_it_tries_again(owner: Owner, tasks: Tasks) -> None:
    def refuse() -> str:
        raise RuntimeError("the key file is gone")

    good, owner.next_token = owner.next_token, refuse
    await owner.subscriber.start()
    await owner.until_away("the key file is gone")
    owner.next_token = good
    await owner.until_live(2)
    await owner.hears(tasks)


class Stubborn(Owner):
    """Has no token yet, and makes an error of its own of being cancelled."""

    async def _token(self) -> str | None:
        self.tokens_asked += 1
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError as error:
            raise RuntimeError("interrupted") from error
        return None


async def test_a_stop_is_one_whatever_comes_of_it_on_the_way(no_loose_ends: None) -> None:
    owner = Stubborn("http://127.0.0.1:1")
    await owner.subscriber.start()
    await eventually(lambda: owner.tokens_asked == 1)
    await stop_in_time(owner)
    assert [str(state) for state in owner.states] == ["connecting", "stopped"]


async def test_what_its_owner_raises_does_not_touch_it(owner: Owner, tasks: Tasks) -> None:
    owner.trouble = RuntimeError("a bug")
    await owner.subscriber.start()
    await owner.until_live()
    await owner.hears(tasks)
    await owner.hears(tasks)
    assert (owner.live, owner.state.generation) == (True, 1)


async def test_a_flood_of_events_rings_a_few_times(owner: Owner, tasks: Tasks) -> None:
    await owner.subscriber.start()
    await owner.until_live()
    await tasks.run("insert into tasks (system_id) select %s from generate_series(1, 500)", A)
    await owner.hears(tasks)
    assert owner.live and owner.state.generation == 1


async def test_an_outage_is_told_once_per_reason(
    owner: Owner, host: SocketHost, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "ccm_orchestrator")
    await host.stop()
    await owner.subscriber.start()
    await eventually(lambda: owner.state.generation == 4)
    assert caplog.text.count("Realtime is away") == 1
    await host.start()
    await owner.until_live()
    assert caplog.text.count("Realtime is live") == 1


async def test_a_start_that_is_taken_back_at_once_leaves_nothing(no_loose_ends: None) -> None:
    owner = Owner("http://127.0.0.1:1")
    await owner.subscriber.start()
    await stop_in_time(owner)
    assert [str(state) for state in owner.states] == ["connecting", "stopped"]


async def test_machines_do_not_come_back_all_at_once(host: SocketHost, server: RealtimeServer) -> None:
    machines = [Owner(host.url, QUICK, str(uuid.uuid4())) for _ in range(10)]
    for machine in machines:
        await machine.subscriber.start()
    for machine in machines:
        await machine.until_live()
    await server.close_sockets(1012)
    for machine in machines:
        await machine.until_live(2)
    back = [state.since.timestamp() for machine in machines for state in machine.states if state.generation == 2]
    assert max(back) - min(back) > 0.05
    await asyncio.gather(*(machine.subscriber.stop() for machine in machines))


async def test_it_hears_of_rows_of_the_products_own_schema(supabase: LocalSupabase, no_loose_ends: None) -> None:
    """On the store's loop, through the gateway, with a token like that of a machine."""
    owner = Owner(supabase.url, QUICK, "here")
    owner.next_token = lambda: supabase.token(system_id="here")
    owner.subscriber._api_key = supabase.publishable_key
    loop = StoreLoop()
    loop.start()
    await loop.run(owner.subscriber.start)
    await owner.until_live()
    add = "insert into tasks (project, prompt, system_id) values ('demo', 'Mend it', %s)"
    async with await psycopg.AsyncConnection.connect(supabase.database_url, autocommit=True) as connection:
        await connection.execute("insert into systems (system_id, system_name) values ('here', 'h'), ('there', 't')")
        for hints, system in enumerate(("here", None), start=1):
            await connection.execute(add, [system])
            await eventually(lambda hints=hints: owner.hints == hints)  # type: ignore[misc]
        await connection.execute(add, ["there"])
        await connection.execute(add, [None])
        await eventually(lambda: owner.hints == 3)
    supabase.on_loop(supabase.realtime.abort_sockets())
    await owner.until_live(2)
    await loop.run(owner.subscriber.stop)
    await asyncio.to_thread(loop.stop)
