"""Who may hear and say what over a WebSocket or a stream, and what is written down of it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from websockets.exceptions import ConnectionClosed

from ccm_orchestrator.api.server import ApiServer
from ccm_orchestrator.domain.caller import Scope
from ccm_orchestrator.domain.events import BusEvent, EventKind
from ccm_orchestrator.ports.audit import AuditQuery
from ccm_orchestrator.security.user_tokens import UserTokens
from tests.api_house import PATIENCE_S, RUN_A, RUN_B, House, served
from tests.live_client import AGENT, happen, live, refusal
from tests.signing import ANNA, BELA, ISSUER, claims, signed
from tests.unit.api.test_callers import make_key
from tests.unit.security.test_user_tokens import Known


@pytest.fixture
async def house() -> House:
    house = House(options={"heartbeat_s": 0.2})
    house.users = UserTokens(ISSUER, "authenticated", Known(), frozenset({Scope.READ, Scope.CONTROL}), {})
    house.restart()
    await house.prepare()
    return house


@pytest.fixture
async def server(house: House) -> AsyncIterator[ApiServer]:
    async with served(house) as running:
        yield running


async def key_with(house: House, *scopes: str) -> dict[str, Any]:
    async with house.client() as api:
        return await make_key(api, *scopes)


WORDS: dict[str, dict[str, Any]] = {
    "user_message": {"content": "hello"},
    "interrupt": {},
    "answer": {"decision": "deny"},
    "input": {"text": "y"},
}


@pytest.mark.parametrize(
    ("scopes", "allowed"),
    [
        (("read",), ()),
        (("read", "control"), ("user_message", "interrupt")),
        (("read", "approve"), ("answer",)),
        (("read", "control", "approve"), tuple(WORDS)),
        (("admin",), tuple(WORDS)),
    ],
)
async def test_what_a_key_may_say_depends_on_its_scopes(
    house: House, server: ApiServer, scopes: tuple[str, ...], allowed: tuple[str, ...]
) -> None:
    await house.agent()
    key = await key_with(house, *scopes)
    async with live(server, f"/ws/{AGENT}", key["key"]) as client:
        assert (await client.next())["data"]["scopes"] == sorted(scopes)
        for word, more in WORDS.items():
            answer = await client.say(type=word, **more)
            refused = answer["data"].get("problem", {}).get("status") == 403
            assert refused is (word not in allowed), (word, answer)
    window = house.terminal.of_run(RUN_A)
    assert window.typed == (["y"] if "input" in allowed else [])


async def test_a_key_that_may_not_read_hears_nothing(house: House, server: ApiServer) -> None:
    key = await key_with(house, "submit", "control", "approve")
    status, problem = await refusal(server, token=key["key"])
    assert status == 403 and "scope `read`" in problem["detail"]


async def test_a_key_that_is_revoked_ends_its_sockets(house: House, server: ApiServer) -> None:
    await house.agent()
    key = await key_with(house, "read", "control")
    async with live(server, f"/ws/{AGENT}", key["key"]) as client:
        await client.next()
        async with house.client() as api:
            assert (await api.delete(f"/api/keys/{key['key_id']}")).status_code == 204
        with pytest.raises(ConnectionClosed):
            await client.until("nothing")
    assert client.connection.close_code == 4401


async def test_a_key_that_is_revoked_says_nothing_more(house: House, server: ApiServer) -> None:
    await house.agent()
    key = await key_with(house, "read", "control")
    async with live(server, f"/ws/{AGENT}", key["key"]) as client:
        async with house.client() as api:
            await api.delete(f"/api/keys/{key['key_id']}")
        with pytest.raises(ConnectionClosed):
            await client.say(type="user_message", content="too late")
    assert await house.journal.messages(RUN_A) == []


async def test_attack_22_what_belongs_to_another_user_does_not_exist(house: House, server: ApiServer) -> None:
    run = await house.agent(owner=ANNA)
    for ref in (AGENT, RUN_A, run.task_id, run.session_id):
        async with live(server, f"/ws/{ref}", signed()) as anna:
            assert (await anna.next())["type"] == "ready"
        assert (await refusal(server, f"/ws/{ref}", token=signed(claims(BELA))))[0] == 404
    async with httpx.AsyncClient(
        base_url=f"http://127.0.0.1:{server.port}", headers={"Authorization": f"Bearer {signed(claims(BELA))}"}
    ) as bela:
        for params in ({"run_id": RUN_A}, {"task_id": run.task_id}):
            assert (await bela.get("/api/events", params=params)).status_code == 404


async def test_attack_22_a_conversation_shared_by_chance_is_not_shared_with_others(
    house: House, server: ApiServer
) -> None:
    """A session id is chosen by its caller, and knowing another's must give nothing."""
    await house.agent(owner=ANNA)
    await house.agent(RUN_B, owner=BELA)
    async with live(server, "/ws/5bb48bdc", signed(claims(BELA))) as bela:
        await bela.next()
        await happen(house, "of Anna")
        await happen(house, "of Bela", run_id=RUN_B)
        assert (await bela.next())["content"] == "of Bela"
        await bela.say(type="user_message", content="to mine")
    assert await house.journal.messages(RUN_A) == []
    assert [message.text for message in await house.journal.messages(RUN_B)] == ["to mine"]


async def test_attack_22_everything_is_what_one_may_see(house: House, server: ApiServer) -> None:
    await house.agent(owner=BELA)
    mine = await house.agent(RUN_B, owner=ANNA)
    stream = httpx.AsyncClient(
        base_url=f"http://127.0.0.1:{server.port}",
        headers={"Authorization": f"Bearer {signed()}"},
        timeout=PATIENCE_S,
    )
    async with (
        live(server, "/ws?types=output", signed()) as anna,
        live(server, "/ws?types=output,status") as machine,
        stream as client,
        client.stream("GET", "/api/events") as response,
    ):
        await anna.next(), await machine.next()
        await house.bus.publish(BusEvent(EventKind.DAEMON_STARTED, house.clock.now()))
        await happen(house, "of Bela")
        await happen(house, "of Anna", run_id=RUN_B)
        assert [(await machine.next())["content"] for _ in range(3)] == ["daemon.started", "of Bela", "of Anna"]
        assert (await anna.next())["task_id"] == mine.task_id
        async with asyncio.timeout(PATIENCE_S):
            lines = response.aiter_lines()
            while not (line := await anext(lines)).startswith("data:"):
                pass
        assert json.loads(line.removeprefix("data: "))["task_id"] == mine.task_id


async def test_what_is_said_is_written_down_with_who_said_it(house: House, server: ApiServer) -> None:
    await house.agent()
    key = await key_with(house, "read", "control")
    async with live(server, f"/ws/{AGENT}", key["key"]) as client:
        await client.say(type="user_message", content="a secret of ours")
        await client.say(type="answer", decision="allow")
    refused, said = (record.entry for record in await house.audit.read(AuditQuery(action="WS")))
    assert (said.action, said.target, said.status) == ("WS user_message", f"/ws/{RUN_A}", 202)
    assert (said.caller, said.source) == (key["prefix"], "127.0.0.1")
    assert said.after is not None and said.after["status"] == "queued" and said.after["run_id"] == RUN_A
    assert (refused.action, refused.status) == ("WS answer", 403)
    assert "secret" not in str(said)
