"""Listeners that do not read: dropped, at a bounded cost, and able to come back."""

from __future__ import annotations

import asyncio
import json
import re
import socket
from collections.abc import AsyncIterator

import httpx
import pytest

from ccm_orchestrator.api.server import ApiServer
from tests.api_house import API_TOKEN, PATIENCE_S, House, eventually, served
from tests.live_client import AGENT, happen, live

EVENTS = 400
CHARACTERS = 50_000
"""Together five times what the kernel's buffers take."""
UPGRADE = "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
LISTENERS = {
    "server-sent events": ("/api/events?after=0", "keep-alive\r\n", rb"id: (\d+)\n"),
    "WebSocket": (f"/ws/{AGENT}?after=0", f"Upgrade\r\n{UPGRADE}", rb'"cursor": (\d+)'),
    "WebSocket in batches": (f"/ws/{AGENT}?after=0&batch=true", f"Upgrade\r\n{UPGRADE}", rb'"cursor": (\d+)'),
}


@pytest.fixture
async def house() -> House:
    house = House(options={"heartbeat_s": 0.2, "stall_s": 0.3})
    await house.prepare()
    await house.agent()
    return house


@pytest.fixture
async def server(house: House) -> AsyncIterator[ApiServer]:
    async with served(house) as running:
        yield running


def listener(server: ApiServer, path: str, connection: str) -> socket.socket:
    """A connection that is not read from."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.connect(("127.0.0.1", server.port))
    head = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nAuthorization: Bearer {API_TOKEN}\r\n"
    client.sendall(f"{head}Connection: {connection}\r\n".encode())
    client.setblocking(False)
    return client


async def drained(client: socket.socket) -> bytes:
    """All that came before the connection was dropped."""
    loop, got = asyncio.get_running_loop(), bytearray()
    async with asyncio.timeout(PATIENCE_S):
        try:
            while piece := await loop.sock_recv(client, 1_000_000):
                got += piece
        except ConnectionResetError:
            pass
    client.close()
    return bytes(got)


@pytest.mark.parametrize("kind", LISTENERS)
async def test_who_reads_nothing_is_dropped_and_can_come_back(house: House, server: ApiServer, kind: str) -> None:
    path, connection, cursors = LISTENERS[kind]
    for number in range(EVENTS):
        await happen(house, f"{number} {'x' * CHARACTERS}")
    client = listener(server, path, connection)

    async def dropped() -> bool:
        names = {task.get_name() for task in asyncio.all_tasks()}
        return server.connections == 0 and not names & {"feed", "live-in", "live-out"}

    async def listening() -> bool:
        return server.connections == 1

    await eventually(listening, "the connection")
    await eventually(dropped, "the server to drop it")
    got = await drained(client)
    assert len(got) < EVENTS * CHARACTERS / 2, "what was not read was kept"
    told = [int(cursor) for cursor in re.findall(cursors, got)]
    # the last event may have come in part
    seen = told[-2] if len(told) > 1 else 0
    async with live(server, f"/ws/{AGENT}?after={seen}") as again:
        await again.next()
        assert [(await again.next())["cursor"] for _ in range(seen, EVENTS)] == list(range(seen + 1, EVENTS + 1))


async def test_who_reads_slowly_but_reads_gets_everything(house: House, server: ApiServer) -> None:
    for number in range(EVENTS):
        await happen(house, f"{number} {'x' * CHARACTERS}")
    seqs: list[int] = []
    async with (
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.port}", timeout=PATIENCE_S) as client,
        client.stream(
            "GET", "/api/events", params={"after": 0}, headers={"Authorization": f"Bearer {API_TOKEN}"}
        ) as response,
    ):
        async for line in response.aiter_lines():
            if line.startswith("data: "):
                seqs.append(json.loads(line.removeprefix("data: "))["seq"])
                await asyncio.sleep(0.002)
            if len(seqs) == EVENTS:
                break
    assert seqs == list(range(1, EVENTS + 1))


async def test_one_that_stalls_does_not_keep_the_others_waiting(house: House, server: ApiServer) -> None:
    async with live(server, f"/ws/{AGENT}") as reader:
        await reader.next()
        for number in range(EVENTS):
            await happen(house, f"{number} {'x' * CHARACTERS}")
        clients = [listener(server, *LISTENERS[kind][:2]) for kind in LISTENERS]
        got = [(await reader.next())["cursor"] for _ in range(EVENTS)]
        assert got == list(range(1, EVENTS + 1))
    for client in clients:
        client.close()
