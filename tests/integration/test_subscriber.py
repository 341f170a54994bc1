"""The subscriber against a Realtime that fails in every way that was seen of the real one."""

import time
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from ccm_orchestrator.adapters.supabase.liveness import Pace
from ccm_orchestrator.devstack.realtime.faults import REASONS
from ccm_orchestrator.devstack.realtime.server import RealtimeServer
from tests.realtime import A, B, SocketHost, Tasks, eventually, token
from tests.subscribing import Owner, no_loose_ends, owner

__all__ = ["no_loose_ends", "owner"]

Hit = Callable[[RealtimeServer], Coroutine[Any, Any, None]]


async def test_it_hears_of_its_own_tasks_and_of_open_ones_under_row_level_security(owner: Owner, tasks: Tasks) -> None:
    await owner.subscriber.start()
    await owner.until_live()
    assert (owner.gaps, owner.hints) == (1, 0)
    await owner.hears(tasks)
    assert owner.state.last_event_at is not None
    before = owner.hints
    await tasks.add(B)
    await tasks.add(None, open=True)
    await eventually(lambda: owner.hints > before)
    assert owner.hints == before + 1
    assert [state.status for state in owner.states] == ["connecting", "joining", "live"]


async def test_without_its_token_it_would_be_live_and_hear_nothing(
    owner: Owner, host: SocketHost, tasks: Tasks
) -> None:
    owner.next_token = lambda: None
    await owner.subscriber.start()
    await owner.until_live()
    other = Owner(host.url)
    await other.subscriber.start()
    await other.until_live()
    await other.hears(tasks)
    await other.subscriber.stop()
    assert owner.live and owner.hints == 0


@pytest.mark.parametrize(
    ("name", "hit"),
    [
        ("close 1000", lambda server: server.close_sockets(1000)),
        ("close 1001", lambda server: server.close_sockets(1001)),
        ("close 1011", lambda server: server.close_sockets(1011)),
        ("close 1012", lambda server: server.close_sockets(1012)),
        ("reset", lambda server: server.abort_sockets()),
        ("half open", lambda server: server.freeze_sockets()),
        ("system error", lambda server: server.send_system_error("the database has a cold")),
        ("token expiry", lambda server: server.expire_tokens()),
        ("channel crash", lambda server: server.crash_channels()),
    ],
)
async def test_it_comes_back_after(owner: Owner, server: RealtimeServer, tasks: Tasks, name: str, hit: Hit) -> None:
    await owner.subscriber.start()
    await owner.until_live()
    began = time.monotonic()
    await hit(server)
    assert await owner.recovers(tasks, name, began) < 5
    topics = [f"realtime:tasks:{A}:{owner.state.generation}"]
    await eventually(lambda: server.topics == topics or name == "half open")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["half open", "mute heartbeats"])
async def test_with_the_times_of_the_product_a_dead_connection_is_noticed_within_a_minute(
    host: SocketHost, server: RealtimeServer, tasks: Tasks, name: str
) -> None:
    owner = Owner(host.url, Pace())
    await owner.subscriber.start()
    await owner.until_live()
    began = time.monotonic()
    if name == "half open":
        await server.freeze_sockets()
    server.faults.mute_heartbeats = name == "mute heartbeats"
    assert await owner.recovers(tasks, f"{name}, times of the product", began) < 60
    await owner.subscriber.stop()


@pytest.mark.parametrize(
    ("name", "switch", "value"),
    [
        ("mute heartbeats", "mute_heartbeats", True),
        ("never ready", "never_ready", True),
        ("slow join", "slow_join_s", 30.0),
        ("unpublished table", "unpublished", True),
        ("handshake 401", "handshake_error", (401, "Invalid key")),
        ("handshake 503", "handshake_error", (503, "restarting")),
        *((f"join error {name}", "join_error", REASONS[name]) for name in ("expired", "starting", "restarting")),
    ],
)
async def test_it_goes_on_trying_while(
    owner: Owner, server: RealtimeServer, tasks: Tasks, name: str, switch: str, value: object
) -> None:
    setattr(server.faults, switch, value)
    await owner.subscriber.start()
    await eventually(lambda: owner.state.generation >= 3)
    assert owner.state.reason
    server.mend()
    began = time.monotonic()
    took_s = await owner.recovers(tasks, f"{name} ({owner.state.reason[:60]})", began, anew=False)
    assert took_s < 10 and owner.state.reason == ""


async def test_a_refusal_that_takes_its_five_seconds_is_waited_for(
    host: SocketHost, server: RealtimeServer, tasks: Tasks
) -> None:
    owner = Owner(host.url, Pace(start_jitter_s=0.0))
    server.pace.join_error_s = 5.0
    server.faults.join_error = REASONS["expired"]
    await owner.subscriber.start()
    await owner.until_away("InvalidJWTToken: Token has expired 3 seconds ago")
    server.mend()
    await owner.recovers(tasks, "a join error after 5 s", time.monotonic(), anew=False)
    await owner.subscriber.stop()


@pytest.mark.parametrize(
    ("switch", "value", "reason"),
    [
        ("join_error", REASONS["joins"], REASONS["joins"]),
        ("join_error", REASONS["users"], REASONS["users"]),
        ("join_error", REASONS["channels"], REASONS["channels"]),
        ("join_error", REASONS["database connections"], REASONS["database connections"]),
        ("handshake_error", (429, "Too many joins"), "HTTP 429"),
    ],
)
async def test_it_leaves_a_server_alone_that_is_asked_too_often(
    owner: Owner, server: RealtimeServer, switch: str, value: object, reason: str
) -> None:
    setattr(server.faults, switch, value)
    await owner.subscriber.start()
    await owner.until_away(reason)
    with pytest.raises(TimeoutError):
        await eventually(lambda: owner.state.generation > 1, 2.0)


async def test_events_are_hints_however_they_come(owner: Owner, server: RealtimeServer, tasks: Tasks) -> None:
    await owner.subscriber.start()
    await owner.until_live()
    server.faults.copies, server.faults.reorder_s = 10, 0.2
    await owner.hears(tasks)
    await tasks.add(payload='"' + "x" * 1_200_000 + '"')
    await owner.hears(tasks)
    server.mend()
    await tasks.run("alter table tasks alter system_id set default null")  # a change of the schema in between
    await owner.hears(tasks)
    assert owner.state.generation == 1


async def test_skipped_events_are_nobodys_fault(owner: Owner, server: RealtimeServer, tasks: Tasks) -> None:
    await owner.subscriber.start()
    await owner.until_live()
    server.faults.silent = True
    await tasks.add()
    with pytest.raises(TimeoutError):
        await eventually(lambda: owner.hints > 0 or not owner.live, 1.0)
    server.mend()
    await owner.hears(tasks)


async def test_each_word_that_changes_are_delivered_is_a_gap(
    owner: Owner, server: RealtimeServer, tasks: Tasks
) -> None:
    await owner.subscriber.start()
    await owner.until_live()
    await server.subscribe_anew()
    await eventually(lambda: owner.gaps == 2)
    await tasks.run("select pg_terminate_backend(active_pid) from pg_replication_slots")
    await eventually(lambda: owner.gaps == 3)
    await owner.hears(tasks)
    assert owner.state.generation == 1


async def test_a_token_is_renewed_before_its_end(host: SocketHost, tasks: Tasks) -> None:
    owner = Owner(host.url, Pace(start_jitter_s=0.0, look_s=0.1, renew_again_s=0.5))
    owner.next_token = lambda: token(system_id=A, life_s=4)
    await owner.subscriber.start()
    await owner.until_live()
    ended = time.monotonic() + 4.5
    await eventually(lambda: time.monotonic() > ended and owner.gaps >= 3)
    await owner.hears(tasks)
    assert owner.state.generation == 1 and owner.tokens_asked >= 3
    await owner.subscriber.stop()


async def test_a_token_that_nobody_renews_ends_and_the_next_one_brings_it_back(host: SocketHost, tasks: Tasks) -> None:
    owner = Owner(host.url, Pace(start_jitter_s=0.0, look_s=0.1, renew_again_s=0.2))
    only = token(system_id=A, life_s=2)
    owner.next_token = lambda: only
    await owner.subscriber.start()
    await owner.until_live()
    await owner.until_away("Token has expired")
    await eventually(lambda: owner.state.generation >= 3)
    owner.next_token = lambda: token(system_id=A)
    await owner.recovers(tasks, "a token that nobody renewed", time.monotonic(), anew=False)
    await owner.subscriber.stop()


async def test_a_renewal_that_fails_is_tried_again(owner: Owner, tasks: Tasks) -> None:
    owner.next_token = lambda: token(system_id=A, life_s=30)
    await owner.subscriber.start()
    await owner.until_live()

    def refuse() -> str:
        raise RuntimeError("no key")

    owner.next_token = refuse
    owner.clock.sleep(16)
    await eventually(lambda: owner.tokens_asked >= 2)
    owner.next_token = lambda: token(system_id=A)
    owner.clock.sleep(16)
    await eventually(lambda: owner.gaps >= 2)
    await owner.hears(tasks)
    assert owner.live


async def test_after_a_sleep_of_the_machine_the_token_is_renewed_and_the_connection_tried(
    host: SocketHost, tasks: Tasks
) -> None:
    owner = Owner(host.url, Pace(start_jitter_s=0.0, look_s=0.2))
    await owner.subscriber.start()
    await owner.until_live()
    owner.clock.sleep(8 * 3600)
    await eventually(lambda: owner.tokens_asked >= 2 and owner.gaps >= 2)
    await owner.hears(tasks)
    await owner.subscriber.stop()
