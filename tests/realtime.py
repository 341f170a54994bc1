"""A database with one published table, the stand-in for Realtime in front of it, and clients that speak raw frames."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import AsyncExitStack
from decimal import Decimal
from pathlib import Path
from typing import Any

import aiohttp
import jwt
import psycopg
import pytest
from aiohttp import web

from ccm_orchestrator.devstack.postgres import Postgres
from ccm_orchestrator.devstack.programs import Programs
from ccm_orchestrator.devstack.realtime.server import RealtimeServer
from tests.supabase_stack import stack_directory

SECRET = "a secret of at least thirty-two characters"
DEADLINE_S = 20.0
A, B = (f"00000000-0000-0000-0000-00000000000{letter}" for letter in "ab")
"""Two systems."""
TOPIC = "realtime:tasks-a"
INSERTS_A = {"event": "INSERT", "schema": "public", "table": "tasks", "filter": f"system_id=eq.{A}"}
Frame = dict[str, Any]

TABLE = """
create table tasks (
    id uuid primary key default gen_random_uuid(), system_id uuid, status text default 'queued',
    priority int2 default 5, dedup_key text, fence bigint default 0, error jsonb, payload jsonb,
    run_after timestamptz default now(),
    created_at timestamptz default now(), open boolean, secret text, tags text[]
);
alter table tasks enable row level security;
create policy own on tasks for select to authenticated
    using (open or system_id = (select (auth.jwt() ->> 'system_id')::uuid));
grant select (id, system_id, status, priority, dedup_key, fence, error, payload, run_after, created_at, open, tags)
    on tasks to anon, authenticated;
grant all on tasks to service_role;
alter publication supabase_realtime add table tasks;
"""


def token(role: str | None = "authenticated", life_s: float | None = 3600, **claims: object) -> str:
    wanted = {"role": role, "exp": None if life_s is None else time.time() + life_s, **claims}
    return jwt.encode({name: value for name, value in wanted.items() if value is not None}, SECRET)


async def eventually(reached: Callable[[], bool], deadline_s: float = DEADLINE_S) -> None:
    async with asyncio.timeout(deadline_s):
        while not reached():  # noqa: ASYNC110 - what is awaited knows nothing of events
            await asyncio.sleep(0.005)


class SocketHost:
    """What the gateway is to the server: an address, which can go away and come back."""

    def __init__(self, server: RealtimeServer) -> None:
        self.server = server
        self.port = 0
        self._runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/realtime/v1"

    async def start(self) -> None:
        await self.server.start()
        application = web.Application()
        application.router.add_get("/realtime/v1/websocket", self.server.handle)
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.5)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port).start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        await self.server.stop()
        if self._runner is not None:
            await self._runner.cleanup()
        self._runner = None


class Wire:
    """A client that keeps every frame it gets."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket
        self.frames: list[Frame] = []
        self.texts: list[str] = []
        self._ref = 0
        self._reading = asyncio.create_task(self._read())

    async def _read(self) -> None:
        async for message in self.socket:
            self.texts.append(message.data)
            self.frames.append(json.loads(message.data, parse_float=Decimal))

    async def close(self) -> None:
        self._reading.cancel()
        await asyncio.gather(self._reading, return_exceptions=True)
        await self.socket.close()

    async def closed(self) -> int | None:
        """The code, once the server has closed the socket."""
        await asyncio.wait([self._reading], timeout=DEADLINE_S)
        assert self._reading.done()
        return self.socket.close_code

    async def send(self, topic: str, event: str, payload: Mapping[str, object] | None = None, **refs: str) -> str:
        self._ref += 1
        ref = refs.get("ref", str(self._ref))
        frame = {"topic": topic, "event": event, "payload": payload or {}, "ref": ref, "join_ref": refs.get("join_ref")}
        await self.socket.send_json(frame)
        return ref

    async def ask(self, topic: str, event: str, payload: Mapping[str, object] | None = None, **refs: str) -> Frame:
        """The reply to it."""
        return await self.reply(await self.send(topic, event, payload, **refs))

    async def reply(self, ref: str) -> Frame:
        return await self.find(lambda frame: frame["event"] == "phx_reply" and frame["ref"] == ref)

    async def join(self, topic: str, *bindings: Mapping[str, str], access_token: str | None = None) -> Frame:
        """The reply. Changes come only after `ready`."""
        return await self.reply(await self.send_join(topic, *bindings, access_token=access_token))

    async def send_join(self, topic: str, *bindings: Mapping[str, str], access_token: str | None = None) -> str:
        config: dict[str, object] = {
            "broadcast": {"ack": False, "self": False},
            "presence": {"key": "", "enabled": False},
        }
        payload: dict[str, object] = {"config": config | {"private": False, "postgres_changes": bindings}}
        if access_token is not None:
            payload |= {"access_token": access_token}
        ref = str(self._ref + 1)
        return await self.send(topic, "phx_join", payload, ref=ref, join_ref=ref)

    async def listen(self, topic: str, *bindings: Mapping[str, str], access_token: str | None = None) -> Frame:
        """Joins and waits until changes are delivered."""
        before = self.count("system", topic)
        joined = await self.join(topic, *bindings, access_token=access_token)
        await self.find(lambda _: self.count("system", topic) > before)
        return joined

    async def find(self, wanted: Callable[[Frame], bool], deadline_s: float = DEADLINE_S) -> Frame:
        await eventually(lambda: any(map(wanted, self.frames)), deadline_s)
        return next(filter(wanted, self.frames))

    async def event(self, event: str, topic: str) -> Frame:
        return await self.find(lambda frame: (frame["event"], frame["topic"]) == (event, topic))

    def count(self, event: str, topic: str) -> int:
        return sum((frame["event"], frame["topic"]) == (event, topic) for frame in self.frames)

    def changes(self, topic: str) -> list[Any]:
        """The data of each."""
        return [
            frame["payload"]["data"]
            for frame in self.frames
            if (frame["event"], frame["topic"]) == ("postgres_changes", topic)
        ]


class Tasks:
    """Writes to the published table, as its owner."""

    def __init__(self, connection: psycopg.AsyncConnection) -> None:
        self.connection = connection

    async def add(self, system_id: str | None = A, **values: object) -> str:
        """The id."""
        row = {"system_id": system_id} | values
        names, holes = ", ".join(row), ", ".join(f"%({name})s" for name in row)
        query = f"insert into tasks ({names}) values ({holes}) returning id::text"
        cursor = await self.connection.execute(query.encode(), row)
        (job_id,) = await cursor.fetchone() or ("",)
        return str(job_id)

    async def run(self, query: str, *values: object) -> None:
        await self.connection.execute(query.encode(), values)


@pytest.fixture(scope="session")
def realtime_database(supabase_programs: Programs) -> Iterator[str]:
    """Its address. It has the table `tasks`."""
    with stack_directory() as directory:
        postgres = Postgres(supabase_programs, Path(directory))
        postgres.create()
        postgres.start()
        try:
            with psycopg.connect(postgres.url(), autocommit=True) as connection:
                connection.execute(TABLE.encode())
            yield postgres.url()
        finally:
            postgres.close()


@pytest.fixture
async def tasks(realtime_database: str) -> AsyncIterator[Tasks]:
    async with await psycopg.AsyncConnection.connect(realtime_database, autocommit=True) as connection:
        yield Tasks(connection)


@pytest.fixture
async def host(realtime_database: str) -> AsyncIterator[SocketHost]:
    """The server, with short waits where nothing depends on them."""
    server = RealtimeServer(realtime_database, SECRET, poll_s=0.02, ready_delay_s=0.1)
    server.pace.join_error_s = server.pace.handshake_error_s = 0.0
    host = SocketHost(server)
    await host.start()
    yield host
    await host.stop()


@pytest.fixture
def server(host: SocketHost) -> RealtimeServer:
    return host.server


@pytest.fixture
async def connect(host: SocketHost) -> AsyncIterator[Callable[..., Awaitable[Wire]]]:
    """Opens sockets with an API key; by default that of `anon`."""
    async with AsyncExitStack() as stack:
        session = await stack.enter_async_context(aiohttp.ClientSession())

        async def open_wire(apikey: str | None = None) -> Wire:
            parameters = {"apikey": apikey or token("anon"), "vsn": "1.0.0"}
            socket = await session.ws_connect(
                f"{host.url}/websocket", params=parameters, timeout=aiohttp.ClientWSTimeout(ws_close=1)
            )
            wire = Wire(socket)
            stack.push_async_callback(wire.close)
            return wire

        yield open_wire


@pytest.fixture
async def wire(connect: Callable[..., Awaitable[Wire]]) -> Wire:
    return await connect()
