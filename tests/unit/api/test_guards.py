"""Guards: every route has one, and holds against what is known to be tried on loopback servers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from inspect import iscoroutinefunction

import httpx
import pytest
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from starlette.types import Message

from ccm_orchestrator.api.guards import Guard, GuardedSocket
from ccm_orchestrator.api.limits import BodyLimit
from ccm_orchestrator.domain.caller import Scope
from tests.api_house import API_TOKEN, INTERNAL_SECRET, PORT, RUN_A, House, routes, token_of

OPEN = {"/health", "/health/tmux", "/health/database", "/health/supabase"}
SOCKETS = {"/ws", "/ws/{ref}"}
HOOK = "/internal/hooks/{run_id}/permission"
STATE_CHANGING = [
    ("POST", "/api/tasks"),
    ("POST", "/api/agents/ccm-aaaaaaaa/messages"),
    ("DELETE", "/api/projects/blog"),
    ("POST", "/internal/spawn-agent"),
    ("POST", "/internal/kill-agent"),
]


def test_attack_9_every_route_declares_the_guard_of_its_audience(house: House) -> None:
    guards = {(method, route.path): route.guard for route in routes(house) for method in route.methods or ()}
    for (_, path), guard in guards.items():
        expected = Guard.API_TOKEN
        if path in OPEN:
            expected = Guard.OPEN
        elif path == HOOK:
            expected = Guard.RUN_TOKEN
        elif path.startswith("/internal"):
            expected = Guard.INTERNAL_SECRET
        assert guard is expected, path
    assert {path for (_, path), guard in guards.items() if guard is Guard.OPEN} == OPEN


def test_attack_9_every_socket_wants_the_token_and_the_right_to_read(house: House) -> None:
    sockets = {route.path: route for route in house.app.routes if isinstance(route, GuardedSocket)}
    assert set(sockets) == SOCKETS
    for socket in sockets.values():
        assert (socket.guard, socket.scope_needed) == (Guard.API_TOKEN, Scope.READ)


def test_no_route_waits_for_a_thread(house: House) -> None:
    """FastAPI calls in one whatever is not awaited, classes included."""

    def called(dependant: Dependant) -> Iterator[object]:
        yield dependant.call
        for inner in dependant.dependencies:
            yield from called(inner)

    threaded = {call for route in routes(house) for call in called(route.dependant) if not iscoroutinefunction(call)}
    assert not threaded


async def upgrade(
    house: House, path: str, headers: Mapping[str, str], query: str = "", peer: str = "127.0.0.1"
) -> tuple[int, bytes]:
    """The status with which an upgrade is refused, and the answer's body; 101 when it is made."""
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "websocket.disconnect" if sent else "websocket.connect"}

    async def send(message: Message) -> None:
        sent.append(message)

    offered = headers.get("Sec-WebSocket-Protocol", "")
    named = {"Host": f"127.0.0.1:{PORT}"} | dict(headers)
    scope = {
        "type": "websocket",
        "path": path,
        "query_string": query.encode(),
        "headers": [(name.lower().encode(), value.encode()) for name, value in named.items()],
        "subprotocols": [name.strip() for name in offered.split(",")] if offered else [],
        "client": (peer, 50000),
        "server": ("127.0.0.1", PORT),
        "scheme": "ws",
        "extensions": {"websocket.http.response": {}},
    }
    await house.app(scope, receive, send)
    if sent[0]["type"] == "websocket.accept":
        return 101, b""
    assert sent[0]["type"] == "websocket.http.response.start"
    return sent[0]["status"], sent[1]["body"]


@pytest.mark.parametrize("path", sorted(SOCKETS))
async def test_attack_4_sockets_are_refused_before_the_upgrade(house: House, path: str) -> None:
    await house.agent()
    path = path.replace("{ref}", RUN_A)
    good, bearer = {"Authorization": f"Bearer {API_TOKEN}"}, {"Sec-WebSocket-Protocol": f"ccm.v1, bearer.{API_TOKEN}"}
    assert (await upgrade(house, path, good))[0] == 101
    assert (await upgrade(house, path, bearer))[0] == 101
    for token in ("", "x", "null", API_TOKEN[:-1], API_TOKEN + "x", INTERNAL_SECRET, token_of(RUN_A)):
        assert (await upgrade(house, path, {"Authorization": f"Bearer {token}"}))[0] == 401
        assert (await upgrade(house, path, {"Sec-WebSocket-Protocol": f"ccm.v1, bearer.{token}"}))[0] == 401
    for key in ("token", "access_token", "api_key", "authorization"):
        assert (await upgrade(house, path, {}, f"{key}={API_TOKEN}"))[0] == 401
    for origin in ("https://evil.com", "null", "http://localhost:3000"):
        for credential in (good, bearer):
            status, body = await upgrade(house, path, {**credential, "Origin": origin})
            assert status == 403 and API_TOKEN.encode() not in body
    assert (await upgrade(house, path, {**good, "Host": f"evil.com:{PORT}"}))[0] == 421
    assert (await upgrade(house, path, {**good, "Sec-Fetch-Site": "cross-site"}))[0] == 403
    assert (await upgrade(house, path, good, peer="10.0.0.5"))[0] == 403


def concrete(route: APIRoute) -> str:
    return route.path.replace("{run_id}", RUN_A).replace("{", "").replace("}", "")


@pytest.mark.parametrize(
    "token",
    [None, "", "x", "null", API_TOKEN[:-1], API_TOKEN + "x", API_TOKEN.upper(), INTERNAL_SECRET, token_of(RUN_A)],
)
async def test_attack_7_no_route_believes_a_token_that_is_only_there(house: House, token: str | None) -> None:
    for route in routes(house):
        if route.guard is not Guard.API_TOKEN:
            continue
        async with house.client(token) as client:
            for method in route.methods or ():
                response = await client.request(method, concrete(route))
                assert response.status_code == 401, (method, route.path)
                assert response.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("forged", [{}, {"X-Forwarded-For": "127.0.0.1"}, {"X-Internal-Secret": INTERNAL_SECRET}])
@pytest.mark.parametrize("token", [None, "x", API_TOKEN, token_of(RUN_A)])
async def test_attacks_5_and_6_no_internal_route_without_the_internal_secret_whatever_the_headers_say(
    house: House, token: str | None, forged: dict[str, str]
) -> None:
    """A local tunnel's client is 127.0.0.1 as well: the peer alone proves nothing."""
    for route in routes(house):
        if route.guard is not Guard.INTERNAL_SECRET:
            continue
        async with house.client(token, **forged) as client:
            for method in route.methods or ():
                assert (await client.request(method, concrete(route))).status_code == 401


@pytest.mark.parametrize("peer", ["10.0.0.5", "192.168.1.2", "::ffff:10.0.0.5", "testclient"])
async def test_attack_5_internal_routes_do_not_exist_for_other_machines(house: House, peer: str) -> None:
    forged = {"X-Forwarded-For": "127.0.0.1", "X-Real-IP": "127.0.0.1", "Forwarded": "for=127.0.0.1"}
    for token in (INTERNAL_SECRET, API_TOKEN, token_of(RUN_A)):
        async with house.client(token, peer=peer, **forged) as client:
            for route in routes(house):
                expected = 404 if route.path.startswith("/internal") else 403
                for method in route.methods or ():
                    assert (await client.request(method, concrete(route))).status_code == expected


@pytest.mark.parametrize("key", ["token", "access_token", "api_key", "authorization"])
async def test_attack_4_a_token_in_the_query_is_not_looked_at(house: House, key: str) -> None:
    async with house.client(None) as client:
        for path in ("/api/tasks", "/api/events"):
            assert (await client.get(path, params={key: API_TOKEN})).status_code == 401


async def test_an_api_key_header_is_as_good_as_a_bearer_token(house: House) -> None:
    async with house.client(None) as client:
        assert (await client.get("/api/tasks", headers={"X-API-Key": API_TOKEN})).status_code == 200


@pytest.mark.parametrize("host", ["evil.com", "127.0.0.1.evil.com", "localhost:1", "", "a/admin?", "evil.com:8765"])
@pytest.mark.parametrize("path", ["/api/tasks", "/internal/agent-status", "/health", "/nowhere"])
async def test_attack_1_a_foreign_host_is_refused_before_routing(house: House, host: str, path: str) -> None:
    async with house.client(INTERNAL_SECRET) as client:
        response = await client.get(path, headers={"Host": host})
    assert response.status_code in (400, 421)
    assert response.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("path", ["/api/tasks", "/internal/agent-status", "/health"])
async def test_attack_2_dns_rebinding(house: House, path: str) -> None:
    """The page's own name resolves to 127.0.0.1, so Host and Origin agree with each other, and not with us."""
    headers = {"Host": f"attacker.test:{PORT}", "Origin": f"http://attacker.test:{PORT}"}
    async with house.client(API_TOKEN) as client:
        assert (await client.get(path, headers=headers)).status_code == 403


@pytest.mark.parametrize("origin", ["https://evil.com", "null", "http://localhost:3000", "http://127.0.0.1"])
@pytest.mark.parametrize(("method", "path"), STATE_CHANGING)
async def test_attack_3_a_foreign_origin_changes_nothing_even_with_the_right_token(
    house: House, origin: str, method: str, path: str
) -> None:
    body = {"project": "blog", "prompt": "x", "text": "x", "agent": "x"}
    for token in (API_TOKEN, INTERNAL_SECRET):
        async with house.client(token) as client:
            response = await client.request(method, path, json=body, headers={"Origin": origin})
        assert response.status_code == 403
        assert not any(name.startswith("access-control") for name in response.headers)
    assert sum((await house.store.counts()).values()) == 0 and len(await house.store.projects()) == 2


async def test_attack_3_a_preflight_is_refused(house: House) -> None:
    headers = {"Origin": "https://evil.com", "Access-Control-Request-Method": "POST"}
    async with house.client(None) as client:
        response = await client.options("/api/tasks", headers=headers)
    assert response.status_code == 403
    assert "access-control-allow-origin" not in response.headers


async def test_our_own_origin_is_served(house: House, api: httpx.AsyncClient) -> None:
    response = await api.get("/api/tasks", headers={"Origin": f"http://127.0.0.1:{PORT}"})
    assert response.status_code == 200 and "access-control-allow-origin" not in response.headers


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"])
async def test_what_a_form_can_send_is_no_json(house: House, api: httpx.AsyncClient, content_type: str) -> None:
    text = '{"project": "blog", "prompt": "x"}'
    response = await api.post("/api/tasks", content=text, headers={"Content-Type": content_type})
    assert response.status_code == 422
    assert sum((await house.store.counts()).values()) == 0


async def test_attack_10_health_says_no_more_than_needed(house: House, api: httpx.AsyncClient) -> None:
    async with house.client(None) as stranger:
        for path in sorted(OPEN - {"/health/supabase"}):
            assert (await stranger.get(path)).json() == {"status": "ok", "detail": None}
        told = {name for name, value in (await stranger.get("/health/supabase")).json().items() if value}
        assert told <= {"state", "since", "subscriber"}
    assert (await api.get("/health/tmux")).json() == {"status": "ok", "detail": "fake, 0 windows"}


async def test_health_tells_what_is_wrong_by_status(house: House) -> None:
    house.terminal.unavailable = True
    async with house.client(None) as stranger:
        assert (await stranger.get("/health")).status_code == 200
        sick = await stranger.get("/health/tmux")
    assert (sick.status_code, sick.json()) == (503, {"status": "unavailable", "detail": None})


async def test_a_daemon_that_does_not_get_on_is_alive_and_not_ready() -> None:
    house = House(options={"trouble": lambda: "starting"})
    async with house.client(None) as stranger:
        response = await stranger.get("/health")
    assert (response.status_code, response.json()["status"]) == (503, "starting")


async def test_a_body_is_refused_by_its_announced_and_by_its_real_size() -> None:
    house = House(options={"max_body_bytes": 1000})
    await house.prepare()

    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield b"x" * 600

    async with house.client() as client:
        announced = await client.post("/api/tasks", content=b"x" * 1001)
        streamed = await client.post("/api/tasks", content=endless(), headers={"Content-Type": "application/json"})
        fitting = await client.post("/api/tasks", json={"project": "blog", "prompt": "x" * 900})
    assert (announced.status_code, streamed.status_code, fitting.status_code) == (413, 413, 201)
    assert streamed.headers["content-type"] == "application/problem+json"


async def test_a_stranger_is_refused_before_his_body_is_read(house: House) -> None:
    read = 0

    async def counted() -> AsyncIterator[bytes]:
        nonlocal read
        for _ in range(100):
            read += 1
            yield b"x" * 1000

    async with house.client("x") as stranger:
        assert (await stranger.post("/api/tasks", content=counted())).status_code == 401
    assert read <= 1


@pytest.mark.parametrize("length", ["-1", "1e3", "", "9" * 30, "0x10"])
async def test_an_odd_content_length_is_refused(length: str) -> None:
    sent: list[dict[str, object]] = []

    async def app(*_: object) -> None:
        raise AssertionError("passed on")

    async def send(message: Message) -> None:
        sent.append(dict(message))

    async def receive() -> Message:
        return {"type": "http.request"}

    scope = {"type": "http", "method": "POST", "headers": [(b"content-length", length.encode())]}
    await BodyLimit(app, 1000)(scope, receive, send)
    assert sent[0]["status"] == 400
