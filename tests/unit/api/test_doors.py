"""The doors: how often one may knock, which pages may, and what other machines find behind theirs."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from ipaddress import ip_address
from pathlib import Path

import httpx
import pytest

from ccm_orchestrator.api.listening import Place
from ccm_orchestrator.api.server import ApiServer
from ccm_orchestrator.domain.caller import Caller, CallerKind, Scope
from ccm_orchestrator.errors import InvalidSettings, PortBusy
from ccm_orchestrator.security.doors import RemoteAddress, TlsFiles
from ccm_orchestrator.security.keyring import KeyRing
from ccm_orchestrator.security.rates import Rates
from tests.api_house import API_TOKEN, INTERNAL_SECRET, PATIENCE_S, RUN_A, House, routes, token_of
from tests.certificates import write_certificate

BOARD = "https://board.example.com"
MAKER = Caller(CallerKind.LOCAL, "local")


async def key_of(house: House, *scopes: Scope, owner: str | None = None) -> str:
    made = await KeyRing(house.keys, house.clock).create(MAKER, "key", frozenset(scopes), owner, None)
    return made[1].reveal()


def with_rates(house: House, rates: Rates) -> House:
    house.rates = rates
    house.restart()
    return house


async def test_attack_10_a_key_that_calls_too_often_is_told_when_to_come_back(house: House) -> None:
    with_rates(house, Rates(per_credential=1.0))
    async with house.client(await key_of(house, Scope.READ)) as busy, house.client() as local:
        statuses = [(await busy.get("/api/tasks")).status_code for _ in range(6)]
        assert statuses == [200] * 4 + [429] * 2
        refused = await busy.get("/api/tasks")
        assert refused.headers["retry-after"] == "1" and refused.json()["type"].endswith("too-many-requests")
        assert [(await local.get("/api/tasks")).status_code for _ in range(20)] == [200] * 20
        async with house.client(await key_of(house, Scope.READ)) as other:
            assert (await other.get("/api/tasks")).status_code == 200
        house.clock.advance(1)
        assert (await busy.get("/api/tasks")).status_code == 200


async def test_attack_10_who_guesses_is_slowed_down_and_keeps_nobody_else_out(house: House) -> None:
    with_rates(house, Rates(failures=0.5, failures_at_once=3))
    key = await key_of(house, Scope.READ)
    async with house.client("guess") as guesser, house.client(key) as program, house.client() as local:
        assert [(await guesser.get("/api/tasks")).status_code for _ in range(5)] == [401] * 3 + [429] * 2
        assert (await program.get("/api/tasks")).status_code == (await local.get("/api/tasks")).status_code == 200
        assert (await guesser.get("/health")).status_code == 200
        house.clock.advance(2)
        assert (await guesser.get("/api/tasks")).status_code == 401


@pytest.fixture
async def open_to_the_board() -> House:
    house = House(options={"origins": frozenset({BOARD}), "extra_hosts": frozenset({"agents.example.com:443"})})
    await house.prepare()
    return house


async def test_attack_3_a_page_that_the_settings_name_may_call_with_a_token(open_to_the_board: House) -> None:
    asked = {"Origin": BOARD, "Access-Control-Request-Method": "POST", "Sec-Fetch-Site": "cross-site"}
    async with open_to_the_board.client(None) as browser:
        preflight = await browser.options("/api/tasks", headers=asked)
        without = await browser.get("/api/tasks", headers={"Origin": BOARD})
    assert preflight.status_code == 204 and preflight.headers["access-control-allow-origin"] == BOARD
    assert "authorization" in preflight.headers["access-control-allow-headers"].lower()
    assert "access-control-allow-credentials" not in preflight.headers
    assert without.status_code == 401 and without.headers["access-control-allow-origin"] == BOARD
    async with open_to_the_board.client() as browser:
        answer = await browser.get("/api/tasks", headers={"Origin": BOARD, "Sec-Fetch-Site": "cross-site"})
    assert answer.status_code == 200 and answer.headers["vary"] == "Origin"
    assert {"Link", "Retry-After"} <= set(answer.headers["access-control-expose-headers"].split(", "))
    assert "access-control-allow-credentials" not in answer.headers


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.com",
        "null",
        "http://board.example.com",
        "https://board.example.com:8443",
        "https://board.example.com.evil.com",
        "https://x.board.example.com",
        "https://board.example.com/",
        "*",
        "",
    ],
)
async def test_attack_3_any_other_page_may_not(open_to_the_board: House, origin: str) -> None:
    asked = {"Origin": origin, "Access-Control-Request-Method": "POST"}
    async with open_to_the_board.client() as browser:
        for answer in (
            await browser.options("/api/tasks", headers=asked),
            await browser.get("/api/tasks", headers={"Origin": origin}),
            await browser.post("/api/tasks", json={}, headers=[("Origin", BOARD), ("Origin", origin)]),
        ):
            assert answer.status_code == 403
            assert not any(name.startswith("access-control") for name in answer.headers)


async def test_attack_3_no_page_at_all_reaches_what_is_internal(open_to_the_board: House) -> None:
    async with open_to_the_board.client(INTERNAL_SECRET) as browser:
        for path in ("/internal/agent-status", "/internal", "/internal/spawn-agent"):
            for method in ("GET", "POST", "OPTIONS"):
                headers = {"Origin": BOARD, "Access-Control-Request-Method": "POST"}
                assert (await browser.request(method, path, headers=headers)).status_code == 403


async def test_a_page_elsewhere_that_hides_its_origin_is_refused(open_to_the_board: House) -> None:
    async with open_to_the_board.client() as browser:
        assert (await browser.get("/api/tasks", headers={"Sec-Fetch-Site": "cross-site"})).status_code == 403


async def test_a_name_that_the_settings_allow_is_served(open_to_the_board: House) -> None:
    async with open_to_the_board.client() as client:
        assert (await client.get("/api/tasks", headers={"Host": "agents.example.com:443"})).status_code == 200
        assert (await client.get("/api/tasks", headers={"Host": "agents.example.com"})).status_code == 421


@asynccontextmanager
async def two_doors(house: House, tls: TlsFiles | None) -> AsyncIterator[ApiServer]:
    server = ApiServer(house.app, "127.0.0.1", 0, RemoteAddress("127.0.0.1", 0, tls))
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


@pytest.fixture
def tls(tmp_path: Path) -> TlsFiles:
    return write_certificate(tmp_path)


def knocking(server: ApiServer, tls: TlsFiles | None, token: str | None) -> httpx.AsyncClient:
    """At the second door."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    url = f"{'https' if tls else 'http'}://127.0.0.1:{server.remote_port}"
    verify = ssl.create_default_context(cafile=tls.certificate) if tls else True
    return httpx.AsyncClient(base_url=url, headers=headers, verify=verify, timeout=PATIENCE_S, trust_env=False)


@pytest.mark.parametrize("secure", [True, False])
async def test_other_machines_come_in_with_a_key(house: House, tls: TlsFiles, secure: bool) -> None:
    files = tls if secure else None
    async with two_doors(house, files) as server, knocking(server, files, await key_of(house, Scope.READ)) as client:
        assert (await client.get("/api/tasks")).status_code == 200
        assert (await client.get("/health")).json() == {"status": "ok", "detail": None}
        assert (await client.post("/api/tasks", json={})).status_code == 403


async def test_attack_5_and_6_behind_the_second_door_nothing_is_internal_whoever_knocks(
    house: House, tls: TlsFiles
) -> None:
    """The peer is 127.0.0.1 here, as it is for a tunnel."""
    async with two_doors(house, tls) as server:
        for token in (INTERNAL_SECRET, API_TOKEN, token_of(RUN_A), None):
            async with knocking(server, tls, token) as client:
                for route in routes(house):
                    if route.path.startswith("/internal"):
                        path = route.path.replace("{run_id}", RUN_A)
                        for method in ("GET", "POST", "PUT"):
                            assert (await client.request(method, path)).status_code == 404
                assert (await client.get("/internal")).status_code == 404


async def test_the_machines_own_token_is_good_on_the_machine_alone(house: House, tls: TlsFiles) -> None:
    async with two_doors(house, tls) as server:
        async with knocking(server, tls, API_TOKEN) as client:
            assert (await client.get("/api/tasks")).status_code == 401
            assert (await client.get("/health/tmux")).json()["detail"] is None
        async with httpx.AsyncClient(trust_env=False) as here:
            headers = {"Authorization": f"Bearer {API_TOKEN}"}
            url = f"http://127.0.0.1:{server.port}/api/tasks"
            assert (await here.get(url, headers=headers)).status_code == 200


async def test_attack_1_the_second_door_has_one_name_too(house: House, tls: TlsFiles) -> None:
    async with two_doors(house, tls) as server, knocking(server, tls, await key_of(house, Scope.READ)) as client:
        for host in ("evil.com", f"evil.com:{server.remote_port}", f"127.0.0.1:{server.port}"):
            assert (await client.get("/api/tasks", headers={"Host": host})).status_code == 421


async def test_an_address_that_calls_too_often_is_refused_before_its_credential_is_looked_at(
    house: House, tls: TlsFiles
) -> None:
    with_rates(house, Rates(per_address=1.0, failures_at_once=1000))
    async with two_doors(house, tls) as server, knocking(server, tls, "guess") as client:
        assert [(await client.get("/api/tasks")).status_code for _ in range(5)] == [401] * 4 + [429]


async def test_who_speaks_no_tls_is_not_understood(house: House, tls: TlsFiles) -> None:
    async with two_doors(house, tls) as server, httpx.AsyncClient(trust_env=False) as client:
        with pytest.raises(httpx.TransportError):
            await client.get(f"http://127.0.0.1:{server.remote_port}/health")


def test_an_address_that_is_not_ours_is_told_from_a_port_that_is_taken() -> None:
    with pytest.raises(PortBusy, match=r"\): set `remote\.host`"):
        Place(ip_address("192.0.2.1"), 0, "remote.port").listen()
    with (
        socket.create_server(("127.0.0.1", 0)) as taken,
        pytest.raises(PortBusy, match=r"stop the program .* `api\.port`"),
    ):
        Place(ip_address("127.0.0.1"), taken.getsockname()[1], "api.port").listen()


async def test_a_second_door_that_cannot_open_leaves_the_first_one_shut(house: House) -> None:
    async with two_doors(house, None) as server:
        second = ApiServer(house.app, "127.0.0.1", 0, RemoteAddress("127.0.0.1", server.remote_port, None))
        with pytest.raises(PortBusy, match=r"remote\.port"):
            await second.start()
        async with httpx.AsyncClient(trust_env=False) as client:
            with pytest.raises(httpx.ConnectError):
                await client.get(f"http://127.0.0.1:{second.port}/health")


async def test_a_second_door_that_closes_by_itself_is_missed_and_a_stop_still_ends_the_first(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with two_doors(house, None) as server, httpx.AsyncClient(trust_env=False) as client:
        serving = asyncio.create_task(server.serving())

        async def fail(_self: object, _counter: int) -> bool:
            raise RuntimeError("a bug")

        assert (await client.get(f"http://127.0.0.1:{server.remote_port}/health")).status_code == 200
        assert not serving.done()
        with monkeypatch.context() as patch:
            patch.setattr(server._doors[1]._server, "on_tick", partial(fail, None))
            with pytest.raises(RuntimeError, match="a bug"):
                await asyncio.wait_for(serving, PATIENCE_S)
        assert (await client.get(f"http://127.0.0.1:{server.port}/health")).status_code == 200
        await server.stop()
        with pytest.raises(httpx.ConnectError):
            await client.get(f"http://127.0.0.1:{server.port}/health")


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.7", "example.com"])
def test_attack_8_the_first_door_is_loopbacks(house: House, host: str) -> None:
    with pytest.raises(InvalidSettings, match=r"\[remote\]"):
        ApiServer(house.app, host, 0)
