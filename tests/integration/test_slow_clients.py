"""Clients that keep the API waiting, come in crowds, or send what is no HTTP, with and without a token."""

from __future__ import annotations

import asyncio
import json
import logging
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from pathlib import Path

import httpx
import psutil
import pytest

from ccm_orchestrator.api import connections, greeting
from ccm_orchestrator.api.connections import PATIENCE_S, Awaited
from ccm_orchestrator.api.server import ApiServer
from ccm_orchestrator.security.doors import RemoteAddress
from tests.api_house import API_TOKEN, House, eventually, served
from tests.certificates import write_certificate

SHORT_S = 0.5
LIMIT_S = 20.0


@pytest.fixture
async def server(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[ApiServer]:
    for awaited in PATIENCE_S:
        monkeypatch.setitem(PATIENCE_S, awaited, SHORT_S)
    house = House(options={"heartbeat_s": 0.1})
    await house.prepare()
    async with served(house) as running:
        yield running


class Client:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int) -> None:
        self.reader, self.writer, self.port = reader, writer, port

    async def sends(self, line: str, *heads: str, token: str = API_TOKEN) -> None:
        """A request's head."""
        whole = [f"{line} HTTP/1.1", f"Host: 127.0.0.1:{self.port}", f"Authorization: Bearer {token}", *heads, "", ""]
        self.writer.write("\r\n".join(whole).encode())
        await self.writer.drain()

    async def rest(self) -> bytes:
        """All that comes until the other side closes."""
        found = b""
        with suppress(ConnectionResetError):
            while chunk := await asyncio.wait_for(self.reader.read(65_536), LIMIT_S):
                found += chunk
        return found

    async def trickles(self, text: str, every_s: float = SHORT_S / 4) -> None:
        """Until the other side closes, or has had enough."""
        with suppress(ConnectionError):
            for character in text * 100:
                self.writer.write(character.encode())
                await self.writer.drain()
                if self.reader.at_eof():
                    return
                await asyncio.sleep(every_s)
        assert self.reader.at_eof() or self.writer.is_closing()


@pytest.fixture
async def client(server: ApiServer) -> AsyncIterator[Client]:
    async for found in _clients(server, 1):
        yield found


async def _clients(server: ApiServer, count: int) -> AsyncIterator[Client]:
    for _ in range(count):
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        yield Client(reader, writer, server.port)
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()


async def _none_left(server: ApiServer) -> None:
    async def none() -> bool:
        return server.connections == 0

    await eventually(none, "no connection")


async def test_one_that_says_nothing_is_told_so_and_closed(server: ApiServer, client: Client) -> None:
    answer = await client.rest()
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 408 Request Timeout\r\n") and b"application/problem+json" in head
    assert json.loads(body)["status"] == 408
    await _none_left(server)


async def test_a_head_that_comes_letter_by_letter_is_not_waited_for(server: ApiServer, client: Client) -> None:
    slow = asyncio.create_task(client.trickles("GET /health HTTP/1.1\r\nX: "))
    assert (await client.rest()).startswith(b"HTTP/1.1 408 ")
    await slow
    await _none_left(server)


@pytest.mark.parametrize("token", ["wrong", API_TOKEN])
async def test_a_body_that_never_ends_is_not_waited_for(server: ApiServer, client: Client, token: str) -> None:
    await client.sends("POST /api/tasks", "Content-Type: application/json", "Content-Length: 9999", token=token)
    slow = asyncio.create_task(client.trickles(" "))
    answer = await client.rest()
    assert answer.startswith(b"HTTP/1.1 401 ") if token == "wrong" else b" 20" not in answer
    await slow
    await _none_left(server)


async def test_one_that_reads_no_answers_is_dropped(server: ApiServer, client: Client) -> None:
    client.writer.transport.pause_reading()  # type: ignore[attr-defined]
    request = f"GET /api/tasks HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n\r\n".encode()

    async def send_for_ever() -> None:
        with suppress(ConnectionError):
            while True:
                client.writer.write(request * 1000)
                await client.writer.drain()

    sending = asyncio.create_task(send_for_ever())
    await _none_left(server)
    sending.cancel()


async def test_who_is_being_answered_may_take_any_time(server: ApiServer, client: Client) -> None:
    await client.sends("GET /api/events")
    for _ in range(int(6 * SHORT_S / 0.1)):
        assert await asyncio.wait_for(client.reader.readline(), LIMIT_S)
    assert server.connections == 1


async def test_a_crowd_does_not_keep_others_out_nor_grow(server: ApiServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "MOST_WAITING", 20)
    for awaited in PATIENCE_S:
        monkeypatch.setitem(PATIENCE_S, awaited, 1_000.0)
    streaming = [client async for client in _opened(server, 3, lambda client: client.sends("GET /api/events"))]
    crowd = [client async for client in _opened(server, 200, _nothing)]
    async with httpx.AsyncClient(timeout=LIMIT_S) as other:
        answer = await other.get(f"http://127.0.0.1:{server.port}/health")
    assert answer.status_code == 200
    assert server.connections <= 20 + 3
    for client in streaming:
        assert await asyncio.wait_for(client.reader.readline(), LIMIT_S), "those who are being answered stay"
    for client in (*crowd, *streaming):
        client.writer.close()


async def _opened(server: ApiServer, count: int, then: Callable[[Client], Awaitable[None]]) -> AsyncIterator[Client]:
    for _ in range(count):
        client = Client(*await asyncio.open_connection("127.0.0.1", server.port), server.port)
        await then(client)
        if then is not _nothing:
            await client.reader.readline()
        yield client


async def _nothing(_client: Client) -> None:
    """Sends none."""


async def test_what_is_no_http_is_refused_by_a_problem_document(client: Client) -> None:
    client.writer.write(b"\x16\x03\x01 hello\r\n\r\n")
    head, _, body = (await client.rest()).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 Bad Request\r\n") and b"nosniff" in head
    assert json.loads(body)["status"] == 400


async def test_what_is_no_http_after_an_answer_has_begun_is_no_error_of_ours(
    server: ApiServer, client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    await client.sends("GET /api/events", "Transfer-Encoding: chunked")
    await client.reader.readline()
    client.writer.write(b"no chunk\r\n")
    await client.rest()
    await _none_left(server)
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


async def test_a_length_that_is_told_twice_is_refused_and_nothing_behind_it_is_answered(client: Client) -> None:
    await client.sends("POST /api/tasks", "Content-Length: 5", "Transfer-Encoding: chunked", token="wrong")
    client.writer.write(b"0\r\n\r\n")
    await client.sends("GET /health")
    answer = await client.rest()
    assert answer.startswith(b"HTTP/1.1 400 ") and answer.count(b"HTTP/1.1 ") == 1


async def test_a_crowd_that_shakes_no_hands_keeps_nobody_out_of_the_second_door(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(greeting, "MOST_GREETING", 10)
    tls, house = write_certificate(tmp_path), House()
    server = ApiServer(house.app, "127.0.0.1", 0, RemoteAddress("127.0.0.1", 0, tls))
    await server.start()
    others = psutil.Process().num_fds()
    crowd = [await asyncio.open_connection("127.0.0.1", server.remote_port) for _ in range(100)]
    async with httpx.AsyncClient(verify=ssl.create_default_context(cafile=tls.certificate), timeout=LIMIT_S) as other:
        assert (await other.get(f"https://127.0.0.1:{server.remote_port}/health")).status_code == 200

    async def few() -> bool:
        return psutil.Process().num_fds() - others <= 100 + 10 + 2

    await eventually(few, "open files of the crowd's own side, and few of the server's")
    for _, writer in crowd:
        writer.close()
    await server.stop()


def test_each_kind_of_waiting_has_a_limit() -> None:
    assert set(PATIENCE_S) == set(Awaited) - {Awaited.NOTHING}
