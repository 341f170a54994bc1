"""The real Python client against the stand-in: what was measured of it with the real server happens here, too."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from realtime import AsyncRealtimeClient, RealtimePostgresChangesListenEvent

from ccm_orchestrator.devstack.realtime.faults import REASONS
from ccm_orchestrator.devstack.realtime.server import RealtimeServer
from tests.realtime import A, SocketHost, Tasks, eventually, token

INSERT = RealtimePostgresChangesListenEvent.Insert


class Listener:
    """A client with one channel, and everything it was told."""

    def __init__(self, url: str) -> None:
        self.client = AsyncRealtimeClient(url, token("anon"), timeout=2)
        self.states: list[str] = []
        self.ready: list[Any] = []
        self.events: list[Any] = []
        self.channel = self.client.channel("tasks-a")
        self.channel.on_system(self.ready.append)
        self.channel.on_postgres_changes(
            INSERT, self.events.append, schema="public", table="tasks", filter=f"system_id=eq.{A}"
        )

    async def subscribe(self, access_token: str | None) -> None:
        if access_token:
            await self.client.set_auth(access_token)
        await self.channel.subscribe(lambda state, _: self.states.append(state.value))

    async def subscribe_until_ready(self) -> None:
        await self.subscribe(token(system_id=A))
        await eventually(lambda: bool(self.ready))


@pytest.fixture
async def listener(host: SocketHost) -> AsyncIterator[Listener]:
    logging.getLogger("realtime").setLevel(logging.CRITICAL)
    listener = Listener(host.url)
    yield listener
    await listener.client.remove_all_channels()


async def test_an_event_under_row_level_security_arrives(listener: Listener, tasks: Tasks) -> None:
    await listener.subscribe_until_ready()
    task_id = await tasks.add()
    await eventually(lambda: bool(listener.events))
    assert listener.events[0]["data"]["record"]["id"] == task_id
    assert listener.states == ["SUBSCRIBED"]


async def test_without_set_auth_it_is_subscribed_and_hears_nothing(
    listener: Listener, host: SocketHost, tasks: Tasks
) -> None:
    await listener.subscribe(None)
    await eventually(lambda: bool(listener.ready))
    other = Listener(host.url)
    await other.subscribe_until_ready()
    await tasks.add()
    await eventually(lambda: bool(other.events))
    await other.client.remove_all_channels()
    assert (listener.states, listener.events) == (["SUBSCRIBED"], [])


async def test_subscribed_comes_long_before_ready(listener: Listener, tasks: Tasks, server: RealtimeServer) -> None:
    server.pace.ready_s = 0.3
    await listener.subscribe(token(system_id=A))
    assert (listener.states, listener.ready) == (["SUBSCRIBED"], [])
    await tasks.add()
    await eventually(lambda: bool(listener.ready))
    after = await tasks.add()
    await eventually(lambda: bool(listener.events))
    assert [event["data"]["record"]["id"] for event in listener.events] == [after]


@pytest.mark.parametrize("code", [1000, 1001, 1011, 1012, None])
async def test_a_closed_socket_is_reopened_and_what_happened_meanwhile_is_lost(
    listener: Listener, tasks: Tasks, server: RealtimeServer, code: int | None
) -> None:
    await listener.subscribe_until_ready()
    await (server.abort_sockets() if code is None else server.close_sockets(code))
    await tasks.add()
    await eventually(lambda: len(listener.ready) == 2)
    after = await tasks.add()
    await eventually(lambda: bool(listener.events))
    assert [event["data"]["record"]["id"] for event in listener.events] == [after]
    assert listener.states == ["SUBSCRIBED", "CHANNEL_ERROR", "SUBSCRIBED"]


@pytest.mark.parametrize(
    ("hit", "states"),
    [
        (lambda server: server.send_system_error("oops"), ["CHANNEL_ERROR", "SUBSCRIBED", "CLOSED"]),
        (lambda server: server.expire_tokens(), ["CHANNEL_ERROR", "CLOSED"]),
        (lambda server: server.crash_channels(), ["CHANNEL_ERROR", "SUBSCRIBED"]),
    ],
    ids=["system error", "expiry", "crash"],
)
async def test_a_channel_in_trouble_ends_as_was_measured(
    listener: Listener, server: RealtimeServer, hit: Callable[[RealtimeServer], Any], states: list[str]
) -> None:
    await listener.subscribe_until_ready()
    await hit(server)
    await eventually(lambda: listener.states == ["SUBSCRIBED", *states])


async def test_a_join_that_is_answered_too_late_ends_closed(listener: Listener, server: RealtimeServer) -> None:
    server.faults.slow_join_s = 4.0
    subscribing = asyncio.create_task(listener.subscribe(token(system_id=A)))
    await eventually(lambda: listener.states == ["TIMED_OUT"])
    server.faults.slow_join_s = 0.0
    await eventually(lambda: listener.states == ["TIMED_OUT", "SUBSCRIBED", "CLOSED"])
    await subscribing


async def test_a_refused_join_is_an_error_of_the_channel(listener: Listener, server: RealtimeServer) -> None:
    server.faults.join_error = REASONS["users"]
    await listener.subscribe(token(system_id=A))
    assert listener.states == ["CHANNEL_ERROR"] and listener.channel.is_errored


async def test_a_new_token_is_taken_over(listener: Listener, tasks: Tasks) -> None:
    await listener.subscribe_until_ready()
    await listener.client.set_auth(token(system_id=A, life_s=7200))
    await eventually(lambda: len(listener.ready) == 2)
    await tasks.add()
    await eventually(lambda: bool(listener.events))
    assert listener.states == ["SUBSCRIBED"]


async def test_a_frame_beyond_its_limit_costs_the_connection(listener: Listener, tasks: Tasks) -> None:
    listener.channel.on_postgres_changes(
        RealtimePostgresChangesListenEvent.Update, listener.events.append, schema="public", table="tasks"
    )
    await tasks.run("alter table tasks replica identity full")
    try:
        await listener.subscribe_until_ready()
        await tasks.run("alter table tasks alter dedup_key set storage external")
        task_id = await tasks.add(dedup_key="x" * 600_000)
        await eventually(lambda: len(listener.events) == 1)
        await tasks.run("update tasks set status = 'done' where id = %s", task_id)
        await eventually(lambda: listener.states == ["SUBSCRIBED", "CHANNEL_ERROR", "SUBSCRIBED"])
    finally:
        await tasks.run("alter table tasks replica identity default")
    assert len(listener.events) == 1


async def test_an_exception_in_a_callback_ends_listening_though_it_seems_connected(
    listener: Listener, tasks: Tasks
) -> None:
    def fail(_: object) -> None:
        raise ZeroDivisionError

    listener.channel.on_postgres_changes(INSERT, fail, schema="public", table="tasks")
    await listener.subscribe_until_ready()
    await tasks.add()
    await eventually(lambda: listener.client._listen_task is not None and listener.client._listen_task.done())
    assert listener.client.is_connected and listener.channel.is_joined
    assert isinstance(listener.client._listen_task and listener.client._listen_task.exception(), ZeroDivisionError)
