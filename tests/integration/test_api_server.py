"""The API on a real socket: what a client over TCP can do that a test transport cannot."""

from __future__ import annotations

import asyncio
import json
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from ccm_orchestrator.api.server import ApiServer
from ccm_orchestrator.domain.dialogue import PermissionStatus
from ccm_orchestrator.domain.events import BusEvent, EventKind
from ccm_orchestrator.errors import InvalidSettings, PortBusy
from tests.api_house import API_TOKEN, ASK, INTERNAL_SECRET, PATIENCE_S, RUN_A, House, eventually, served, token_of


@dataclass
class Frame:
    id: int | None = None
    event: str = ""
    data: str = ""
    comment: str = ""

    def json(self) -> Any:
        return json.loads(self.data)


@pytest.fixture
async def house() -> House:
    house = House(options={"heartbeat_s": 0.2})
    await house.prepare()
    return house


@pytest.fixture
async def server(house: House) -> AsyncIterator[ApiServer]:
    async with served(house) as running:
        yield running


def client_of(server: ApiServer, token: str | None = API_TOKEN) -> httpx.AsyncClient:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.port}", headers=headers, timeout=PATIENCE_S)


async def raw(server: ApiServer, head: str) -> int:
    """Sends bytes as they are; the status of the answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(head.replace("\n", "\r\n").encode("latin-1"))
    await writer.drain()
    status = await asyncio.wait_for(reader.readline(), PATIENCE_S)
    writer.close()
    return int(status.split()[1])


AUTH = f"Authorization: Bearer {INTERNAL_SECRET}\n"


@pytest.mark.parametrize("path", ["/internal/agent-status", "/api/tasks", "/health"])
@pytest.mark.parametrize(
    "hosts",
    [
        "Host: evil.com\n",
        "Host: 127.0.0.1.evil.com\n",
        "Host: localhost:1\n",
        "Host:\n",
        "",
        "Host: localhost:{port}\nHost: evil.com\n",
        "Host: localhost:{port}\nHost: localhost:{port}\n",
        "Host: a/admin?\n",
        "Host: localhost:{port}\n folded\n",
    ],
)
async def test_attack_1_hosts_over_tcp(server: ApiServer, path: str, hosts: str) -> None:
    status = await raw(server, f"GET {path} HTTP/1.1\n{hosts.format(port=server.port)}{AUTH}\n")
    assert status in (400, 421)


async def test_attack_1_old_http_without_a_host(server: ApiServer) -> None:
    assert await raw(server, f"GET /internal/agent-status HTTP/1.0\n{AUTH}\n") == 400


async def test_attack_1_a_target_that_names_its_own_host(server: ApiServer) -> None:
    host = f"Host: localhost:{server.port}\n"
    assert await raw(server, f"GET http://evil.com/internal/agent-status HTTP/1.1\n{host}{AUTH}\n") == 404


async def test_attacks_5_and_6_forwarding_headers_prove_nothing(server: ApiServer) -> None:
    forged = "X-Forwarded-For: 10.0.0.1\nX-Forwarded-Host: evil.com\nX-Forwarded-Proto: https\n"
    host = f"Host: localhost:{server.port}\n"
    assert await raw(server, f"GET /internal/agent-status HTTP/1.1\n{host}{forged}\n") == 401
    assert await raw(server, f"GET /internal/agent-status HTTP/1.1\n{host}{forged}{AUTH}\n") == 200


async def test_attack_4_an_upgrade_is_not_made(server: ApiServer) -> None:
    key = "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\n"
    upgrade = f"Connection: Upgrade\nUpgrade: websocket\nSec-WebSocket-Version: 13\n{key}"
    host = f"Host: localhost:{server.port}\n"
    assert await raw(server, f"GET /api/events HTTP/1.1\n{host}{upgrade}\n") == 403
    assert await raw(server, f"GET /ws HTTP/1.1\n{host}{upgrade}\n") == 401
    assert await raw(server, f"GET /api/events HTTP/1.1\n{host}{upgrade}Origin: https://evil.com\n{AUTH}\n") == 403


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "example.org", ""])
async def test_attack_8_other_machines_addresses_are_refused_at_the_start(house: House, host: str) -> None:
    with pytest.raises(InvalidSettings, match=r"Expected `api.host` to be a loopback address"):
        await ApiServer(house.app, host, 0).start()


async def test_attack_8_only_one_address_is_bound(server: ApiServer) -> None:
    """A server on 0.0.0.0 would answer on every address, this machine's second one included."""
    with pytest.raises(OSError):
        await asyncio.open_connection("127.0.0.2", server.port)


async def test_a_port_in_use_is_one_clear_sentence(house: House, server: ApiServer) -> None:
    with pytest.raises(PortBusy) as caught:
        await ApiServer(house.app, "127.0.0.1", server.port).start()
    assert caught.value.message == (
        f"The API cannot listen on 127.0.0.1 port {server.port} (Address already in use): stop the program that uses "
        "it, perhaps another daemon, or set `api.port` in the configuration."
    )


async def test_start_and_stop_may_be_called_twice_and_signals_are_left_alone(house: House) -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    server = ApiServer(house.app, "localhost", 0)
    await server.start()
    port = server.port
    await server.start()
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before
    await server.stop()
    await server.stop()
    with pytest.raises(OSError):
        await asyncio.open_connection("127.0.0.1", port)
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


# Events


@asynccontextmanager
async def stream(
    server: ApiServer, last_event_id: int | None = None, **params: Any
) -> AsyncIterator[AsyncIterator[Frame]]:
    headers = {} if last_event_id is None else {"Last-Event-ID": str(last_event_id)}
    async with (
        client_of(server) as client,
        client.stream("GET", "/api/events", params=params, headers=headers) as answer,
    ):
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        yield frames(answer)


async def frames(answer: httpx.Response) -> AsyncIterator[Frame]:
    frame = Frame()
    async for line in answer.aiter_lines():
        name, _, value = line.partition(":")
        if not line:
            if frame != Frame():
                yield frame
            frame = Frame()
        elif name == "":
            frame.comment = value.strip()
        elif name == "id":
            frame.id = int(value)
        elif name in ("event", "data"):
            setattr(frame, name, value.strip())


async def events(found: AsyncIterator[Frame], count: int) -> list[Frame]:
    """The next frames that are no heartbeats."""
    got: list[Frame] = []
    async with asyncio.timeout(PATIENCE_S):
        while len(got) < count:
            frame = await anext(found)
            got += [frame] if frame.event else []
    return got


async def heartbeat(found: AsyncIterator[Frame]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not (await anext(found)).comment:
            pass


async def happen(house: House, *texts: str, task_id: str | None = None) -> None:
    for text in texts:
        await house.bus.publish(BusEvent(EventKind.AGENT_OUTPUT, house.clock.now(), task_id, None, {"text": text}))


async def test_a_stream_tells_what_happens_from_now_on(house: House, server: ApiServer) -> None:
    await happen(house, "before")
    async with stream(server) as found:
        await heartbeat(found)
        await happen(house, "one\ntwo: ☃")
        (frame,) = await events(found, 1)
    assert (frame.id, frame.event) == (2, "agent_output")
    assert frame.json() == {
        "seq": 2,
        "kind": "agent_output",
        "at": "2026-01-01T00:00:00Z",
        "task_id": None,
        "run_id": None,
        "data": {"text": "one\ntwo: ☃"},
    }


async def test_a_client_that_reconnects_goes_on_where_it_was(house: House, server: ApiServer) -> None:
    await happen(house, "1", "2", "3")
    async with stream(server, after=0) as found:
        seen = await events(found, 2)
    await happen(house, "4")
    async with stream(server, last_event_id=seen[-1].id, after=0) as found:
        rest = await events(found, 2)
    assert [frame.json()["data"]["text"] for frame in seen + rest] == ["1", "2", "3", "4"]


async def test_a_stream_of_one_task_leaves_the_others_out_and_still_beats(house: House, server: ApiServer) -> None:
    run = await house.agent()
    async with stream(server, task_id=run.task_id[:8]) as found:
        noise = asyncio.create_task(noisy(house))
        await heartbeat(found)
        await happen(house, "mine", task_id=run.task_id)
        (frame,) = await events(found, 1)
        noise.cancel()
    assert frame.json()["data"]["text"] == "mine"


async def noisy(house: House) -> None:
    while True:
        await happen(house, "noise")
        await asyncio.sleep(0.01)


@pytest.mark.parametrize("params", [{"task_id": "ffffffff"}, {"run_id": "ffffffff"}])
async def test_a_stream_of_something_unknown_is_not_found(server: ApiServer, params: dict[str, str]) -> None:
    async with client_of(server) as client:
        assert (await client.get("/api/events", params=params)).status_code == 404


@pytest.mark.parametrize("cursor", [1, 999], ids=["too old", "from another log"])
async def test_a_cursor_that_is_not_kept_is_answered_by_resync(house: House, server: ApiServer, cursor: int) -> None:
    await happen(house, "1", "2", "3")
    house.clock.advance(3600)
    await house.events.prune(house.clock.now())
    await happen(house, "4", "5")
    async with stream(server, last_event_id=cursor) as found:
        (resync,) = await events(found, 1)
        await happen(house, "6")
        (following,) = await events(found, 1)
    assert (resync.event, resync.id, resync.json()) == ("resync", 5, {"first_seq": 4, "last_seq": 5})
    assert following.json()["data"]["text"] == "6"


@pytest.mark.parametrize("cursor", [3, 4, 5])
async def test_a_cursor_at_the_edge_of_what_is_kept_needs_no_resync(
    house: House, server: ApiServer, cursor: int
) -> None:
    await happen(house, "1", "2", "3")
    house.clock.advance(3600)
    await house.events.prune(house.clock.now())
    await happen(house, "4", "5")
    async with stream(server, last_event_id=cursor) as found:
        await happen(house, "6")
        got = await events(found, 6 - cursor)
    assert [frame.json()["data"]["text"] for frame in got] == ["4", "5", "6"][cursor - 3 :]


async def test_an_emptied_log_is_not_taken_for_an_unread_one(house: House, server: ApiServer) -> None:
    await happen(house, "1", "2")
    house.clock.advance(3600)
    await house.events.prune(house.clock.now())
    async with stream(server, last_event_id=1) as found:
        (frame,) = await events(found, 1)
    assert frame.event == "resync"


@pytest.mark.parametrize("cursor", ["x", "-1", "1.5", str(2**70)])
async def test_a_cursor_that_is_none_is_refused(server: ApiServer, cursor: str) -> None:
    async with client_of(server) as client:
        assert (await client.get("/api/events", headers={"Last-Event-ID": cursor})).status_code == 422


async def test_stopping_ends_streams_at_once(house: House) -> None:
    async with served(house) as server, stream(server) as found:
        await heartbeat(found)
        async with asyncio.timeout(PATIENCE_S):
            await server.stop()
        assert [frame async for frame in found if frame.event] == []


# Permissions


async def hook(server: ApiServer) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """An agent's hook, as a connection that a test can cut."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    body = json.dumps(ASK)
    head = (
        f"POST /internal/hooks/{RUN_A}/permission HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n"
        f"Authorization: Bearer {token_of(RUN_A)}\r\nContent-Type: application/json\r\n"
        f"Connection: keep-alive\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    writer.write((head + body).encode())
    await writer.drain()
    return reader, writer


async def test_a_held_hook_is_answered_on_its_connection(house: House, server: ApiServer) -> None:
    await house.agent()
    reader, writer = await hook(server)
    (request,) = await house.asked()
    async with client_of(server) as client:
        decided = await client.post(f"/api/permissions/{request.request_id}", json={"decision": "allow"})
    assert decided.status_code == 200
    async with asyncio.timeout(PATIENCE_S):
        head = await reader.readuntil(b"\r\n\r\n")
        body = await reader.readuntil(b"}")
    writer.close()
    assert head.startswith(b"HTTP/1.1 200") and json.loads(body)["decision"] == "allow"


async def test_a_hook_that_hangs_up_was_answered_no_in_the_terminal(house: House, server: ApiServer) -> None:
    run = await house.agent()
    _, writer = await hook(server)
    (request,) = await house.asked()
    writer.close()
    settled = await house.settled(request.request_id)
    assert settled.status is PermissionStatus.ANSWERED_ELSEWHERE and settled.verdict is None
    await eventually(lambda: both_told(house), "two events")
    async with client_of(server) as client:
        late = await client.post(f"/api/permissions/{request.request_id}", json={"decision": "allow"})
    assert late.status_code == 409 and "answered_elsewhere already" in late.json()["detail"]
    assert house.terminal.of_run(run.run_id).pressed == []


async def both_told(house: House) -> bool:
    return await house.kinds() == ["permission.requested", "permission.decided"]


async def test_a_daemon_that_stops_lets_hooks_go_and_keeps_their_requests_open(house: House) -> None:
    await house.agent()
    async with served(house) as server:
        reader, writer = await hook(server)
        (request,) = await house.asked()
        async with asyncio.timeout(PATIENCE_S):
            await server.stop()
            assert (await reader.readline()).startswith(b"HTTP/1.1 204")
        writer.close()
    assert (await house.journal.permission(request.request_id)).status is PermissionStatus.OPEN
    house.restart()
    async with served(house) as server:
        _, writer = await hook(server)

        async def decided() -> bool:
            async with client_of(server) as client:
                path = f"/api/permissions/{request.request_id}"
                return (await client.post(path, json={"decision": "deny"})).status_code == 200

        await eventually(decided, "the hook that came back")
        writer.close()
    assert [known.request_id for known in await house.journal.permissions(open_only=False)] == [request.request_id]


async def test_no_answer_waits_for_its_second_part(server: ApiServer) -> None:
    """With Nagle's algorithm each would take 40 ms, once the kernel has stopped to acknowledge everything at once."""
    times_s = []
    async with client_of(server) as client:
        for _ in range(80):
            began = time.perf_counter()
            assert (await client.get("/api/projects")).status_code == 200
            times_s.append(time.perf_counter() - began)
    assert min(times_s[50:]) < 0.03
