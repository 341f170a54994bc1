"""The switches for what can go wrong with Realtime do what they say."""

import asyncio
import time
from collections.abc import Awaitable, Callable

import aiohttp
import pytest

from ccm_orchestrator.devstack.realtime.faults import REASONS
from ccm_orchestrator.devstack.realtime.server import RealtimeServer
from tests.realtime import INSERTS_A, TOPIC, A, SocketHost, Tasks, Wire, eventually, token

OWN = token(system_id=A)
LAST = "realtime:last"


async def listen(wire: Wire) -> None:
    await wire.listen(TOPIC, INSERTS_A, access_token=OWN)


def told(wire: Wire) -> list[str]:
    return [change["record"]["id"] for change in wire.changes(TOPIC)]


async def test_events_are_doubled(wire: Wire, tasks: Tasks, server: RealtimeServer) -> None:
    await listen(wire)
    server.faults.copies = 3
    first = await tasks.add()
    await eventually(lambda: told(wire) == [first] * 3)
    server.mend()
    second = await tasks.add()
    await eventually(lambda: told(wire) == [first] * 3 + [second])


async def test_events_overtake_each_other(wire: Wire, tasks: Tasks, server: RealtimeServer) -> None:
    await listen(wire)
    server.faults.reorder_s = 0.5
    added = [await tasks.add() for _ in range(3)]
    await eventually(lambda: told(wire) == added[::-1])


async def test_events_are_skipped_without_a_word(wire: Wire, tasks: Tasks, server: RealtimeServer) -> None:
    await listen(wire)
    server.faults.silent = True
    await tasks.add()
    await wire.listen(LAST, INSERTS_A, access_token=OWN)  # the server has looked by then
    server.mend()
    heard = await tasks.add()
    await eventually(lambda: told(wire) == [heard])


async def test_heartbeats_are_not_answered_though_joins_are(wire: Wire, server: RealtimeServer) -> None:
    server.faults.mute_heartbeats = True
    await wire.send("phoenix", "heartbeat", ref="unanswered")
    await listen(wire)
    assert not [frame for frame in wire.frames if frame["topic"] == "phoenix"]


async def test_a_channel_joins_and_is_never_ready(wire: Wire, tasks: Tasks, server: RealtimeServer) -> None:
    server.faults.never_ready = True
    await wire.join(TOPIC, INSERTS_A, access_token=OWN)
    server.pace.ready_s = 0.0
    server.mend()
    await wire.listen(LAST, INSERTS_A, access_token=OWN)
    await tasks.add()
    await wire.event("postgres_changes", LAST)
    assert wire.count("system", TOPIC) == wire.count("postgres_changes", TOPIC) == 0


async def test_a_slow_join_holds_up_the_socket(wire: Wire, server: RealtimeServer) -> None:
    server.faults.slow_join_s = 0.3
    started = time.monotonic()
    await wire.send_join(TOPIC, INSERTS_A, access_token=OWN)
    await wire.ask("phoenix", "heartbeat", ref="behind")
    assert time.monotonic() - started >= 0.3
    assert wire.frames[0]["topic"] == TOPIC


@pytest.mark.parametrize("name", REASONS)
async def test_a_join_is_refused_for_the_reason_that_is_set(wire: Wire, server: RealtimeServer, name: str) -> None:
    server.faults.join_error = REASONS[name]
    refused = await wire.join(TOPIC, INSERTS_A, access_token=OWN)
    assert refused["payload"] == {"status": "error", "response": {"reason": REASONS[name]}}
    if name == "joins":
        assert await wire.closed() == 1001
    else:
        await wire.ask("phoenix", "heartbeat", ref="still there")


@pytest.mark.parametrize("code", [1000, 1001, 1011, 1012])
async def test_sockets_are_closed_with_a_code(wire: Wire, server: RealtimeServer, code: int) -> None:
    await listen(wire)
    await server.close_sockets(code)
    assert await wire.closed() == code
    assert (server.sockets, server.topics) == (0, [])


async def test_connections_are_reset(wire: Wire, server: RealtimeServer) -> None:
    await listen(wire)
    await server.abort_sockets()
    assert await wire.closed() == aiohttp.WSCloseCode.ABNORMAL_CLOSURE


async def test_a_half_open_socket_neither_answers_nor_ends(
    connect: Callable[..., Awaitable[Wire]], tasks: Tasks, server: RealtimeServer
) -> None:
    server.pace.idle_s = 0.5
    frozen = await connect()
    await listen(frozen)
    await server.freeze_sockets()
    await frozen.send("phoenix", "heartbeat", ref="unanswered")
    await frozen.socket.ping()
    other = await connect()
    await listen(other)
    await tasks.add()
    await other.event("postgres_changes", TOPIC)
    await other.closed()  # after the time that a silent socket has
    await eventually(lambda: server.sockets == 1)
    assert not frozen.socket.closed
    assert [frame["event"] for frame in frozen.frames] == ["phx_reply", "system"]


async def test_a_server_stops_though_a_socket_is_half_open_and_another_waits_for_its_refusal(
    connect: Callable[..., Awaitable[Wire]], host: SocketHost
) -> None:
    frozen = await connect()
    await listen(frozen)
    await host.server.freeze_sockets()
    host.server.pace.join_error_s = 60.0
    waiting = await connect()
    await waiting.send_join(TOPIC, access_token="nonsense")
    async with asyncio.timeout(3):
        await host.stop()


async def test_a_system_error_leaves_the_channel_joined(wire: Wire, tasks: Tasks, server: RealtimeServer) -> None:
    await listen(wire)
    await server.send_system_error("the database has a cold")
    assert (await wire.find(lambda frame: "cold" in str(frame)))["payload"]["status"] == "error"
    await tasks.add()
    await wire.event("postgres_changes", TOPIC)


async def test_tokens_end_on_demand(wire: Wire, server: RealtimeServer) -> None:
    await listen(wire)
    await server.expire_tokens()
    await wire.event("phx_close", TOPIC)
    assert (await wire.ask(TOPIC, "access_token", ref="late"))["payload"]["status"] == "error"


async def test_channels_crash(wire: Wire, server: RealtimeServer) -> None:
    await listen(wire)
    await server.crash_channels()
    crashed = await wire.event("phx_error", TOPIC)
    assert (crashed["payload"], crashed["ref"]) == ({"reason": "channel_crash"}, "1")
    await listen(wire)


async def test_everybody_is_subscribed_anew_and_what_happens_meanwhile_is_lost(
    wire: Wire, tasks: Tasks, server: RealtimeServer
) -> None:
    await listen(wire)
    server.pace.ready_s = 0.3
    await server.subscribe_anew()
    await tasks.add()
    await eventually(lambda: wire.count("system", TOPIC) == 2)
    after = await tasks.add()
    await eventually(lambda: told(wire) == [after])


async def test_the_table_seems_unpublished(wire: Wire, server: RealtimeServer) -> None:
    server.faults.unpublished = True
    await listen(wire)
    assert "Please check Realtime is enabled" in wire.frames[-1]["payload"]["message"]


@pytest.mark.parametrize(("status", "text"), [(429, "Too many joins"), (403, "suspended"), (500, "oops")])
async def test_handshakes_are_refused_after_a_while(host: SocketHost, status: int, text: str) -> None:
    host.server.faults.handshake_error = (status, text)
    host.server.pace.handshake_error_s = 0.2
    started = time.monotonic()
    async with aiohttp.ClientSession() as session:
        answer = await session.get(f"{host.url}/websocket", params={"apikey": token("anon")})
        assert (answer.status, await answer.json()) == (status, {"error": text})
    assert time.monotonic() - started >= 0.2


async def test_a_server_that_was_stopped_refuses_until_it_is_started(host: SocketHost) -> None:
    await host.server.stop()
    async with aiohttp.ClientSession() as session:
        parameters = {"apikey": token("anon")}
        assert (await session.get(f"{host.url}/websocket", params=parameters)).status == 503
        await host.server.start()
        await (await session.ws_connect(f"{host.url}/websocket", params=parameters)).close()


async def test_garbage_ends_the_socket(wire: Wire) -> None:
    await wire.socket.send_str("garbage")
    assert await wire.closed() == aiohttp.WSCloseCode.INTERNAL_ERROR
