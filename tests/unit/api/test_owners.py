"""Attack 22: what belongs to one user does not exist for another, whichever way they ask."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import httpx
import pytest

from ccm_orchestrator.domain.caller import Caller, CallerKind, Scope
from ccm_orchestrator.domain.events import BusEvent, EventKind
from ccm_orchestrator.domain.run import Run
from ccm_orchestrator.domain.task import NewTask
from ccm_orchestrator.security.keyring import KeyRing
from tests.api_house import ASK, RUN_A, RUN_B, House, routes, served, token_of

EVERYTHING = frozenset(Scope) - {Scope.ADMIN}
MAKER = Caller(CallerKind.LOCAL, "local")


async def client_of(house: House, owner: str) -> httpx.AsyncClient:
    _, secret = await KeyRing(house.keys, house.clock).create(MAKER, f"key of {owner}", EVERYTHING, owner, None)
    return house.client(secret.reveal())


@pytest.fixture
async def anna(house: House) -> AsyncIterator[httpx.AsyncClient]:
    async with await client_of(house, "anna") as client:
        yield client


@pytest.fixture
async def bela(house: House) -> AsyncIterator[httpx.AsyncClient]:
    async with await client_of(house, "bela") as client:
        yield client


async def add(client: httpx.AsyncClient, prompt: str = "Mend it", **more: Any) -> dict[str, Any]:
    headers = {"Idempotency-Key": more.pop("key")} if "key" in more else {}
    response = await client.post("/api/tasks", json={"project": "blog", "prompt": prompt} | more, headers=headers)
    assert response.status_code in (200, 201), response.text
    task: dict[str, Any] = response.json()
    return task


async def run_of_anna(house: House) -> Run:
    """An agent that works for her and asks something."""
    run = await house.agent(RUN_A, owner="anna")
    return run


async def test_a_task_belongs_to_whoever_handed_it_in(
    house: House, anna: httpx.AsyncClient, bela: httpx.AsyncClient, api: httpx.AsyncClient
) -> None:
    hers, machines = await add(anna), await add(api)
    assert (await house.store.get(hers["task_id"])).owner == "anna"
    assert (await house.store.get(machines["task_id"])).owner is None

    async def listed(client: httpx.AsyncClient) -> list[str]:
        return [task["task_id"] for task in (await client.get("/api/tasks")).json()["items"]]

    assert await listed(anna) == [hers["task_id"]]
    assert await listed(bela) == []
    assert await listed(api) == [machines["task_id"], hers["task_id"]]


@pytest.mark.parametrize("reference", ["whole", "beginning", "nothing"])
async def test_attack_22_another_users_task_does_not_exist(
    house: House, anna: httpx.AsyncClient, bela: httpx.AsyncClient, reference: str
) -> None:
    task_id = (await add(anna))["task_id"]
    ref = {"whole": task_id, "beginning": task_id[:8], "nothing": "0123456789abcdef"}[reference]
    for method, path in [
        ("GET", "/api/tasks/{}"),
        ("GET", "/api/tasks/{}/events"),
        ("POST", "/api/tasks/{}/stop"),
        ("POST", "/api/tasks/{}/retry"),
        ("POST", "/api/tasks/{}/release"),
        ("GET", "/api/events?task_id={}"),
        ("GET", "/api/tasks?before={}"),
    ]:
        refused = await bela.request(method, path.format(ref))
        assert refused.status_code == 404, (method, path)
        assert refused.json()["detail"].startswith(f"There is no task {ref!r}")
    assert (await house.store.get(task_id)).cancel_requested_at is None
    assert (await anna.post(f"/api/tasks/{task_id}/stop")).json()["status"] == "cancelled"


async def test_that_a_beginning_is_ambiguous_is_not_told(house: House, bela: httpx.AsyncClient) -> None:
    for number in range(2):
        await house.store.enqueue(NewTask("blog", "x", owner="anna", task_id=f"abcd{number:028}"))
    assert "There is no task 'abcd'" in (await bela.get("/api/tasks/abcd")).json()["detail"]


async def test_attack_22_another_users_agent_does_not_exist(
    house: House, anna: httpx.AsyncClient, bela: httpx.AsyncClient
) -> None:
    run = await run_of_anna(house)
    hook = house.ask(ASK)
    (asked,) = await house.asked()
    for ref in (run.name, run.run_id, run.run_id[:8], run.task_id):
        for method, path, body in [
            ("GET", f"/api/agents/{ref}", None),
            ("GET", f"/api/agents/{ref}/state?explain=1", None),
            ("GET", f"/api/agents/{ref}/screen", None),
            ("GET", f"/api/agents/{ref}/messages", None),
            ("GET", f"/api/agents/{ref}/permissions", None),
            ("POST", f"/api/agents/{ref}/messages", {"text": "x"}),
            ("POST", f"/api/agents/{ref}/permissions", {"decision": "allow"}),
            ("POST", f"/api/agents/{ref}/stop", None),
            ("POST", f"/api/permissions/{asked.request_id}", {"decision": "allow"}),
            ("GET", f"/api/events?run_id={ref}", None),
        ]:
            refused = await bela.request(method, path, json=body)
            assert refused.status_code == 404, (method, path)
    assert (await bela.get("/api/agents")).json() == (await bela.get("/api/permissions")).json() == []
    assert (await bela.get("/api/agents?ended=1")).json() == []
    assert [agent["run_id"] for agent in (await anna.get("/api/agents")).json()] == [run.run_id]
    assert (await anna.get(f"/api/agents/{run.name}/screen")).status_code == 200
    assert await house.journal.messages(run.run_id) == []
    allowed = await anna.post(f"/api/permissions/{asked.request_id}", json={"decision": "allow"})
    assert allowed.status_code == 200 and (await hook).status_code == 200


async def test_attack_22_every_route_that_names_a_task_an_agent_or_a_request_is_tried_on_a_strangers(
    house: House, bela: httpx.AsyncClient
) -> None:
    """Whatever routes there are: a stranger has no success, and is told nothing of hers."""
    run = await run_of_anna(house)
    hook = house.ask(ASK)
    (asked,) = await house.asked()
    values = {"task_id": run.task_id, "agent": run.run_id, "run_id": run.run_id, "request_id": asked.request_id}
    values |= {"session_id": str(run.session_id), "name": "shop", "system_id": "desk", "key": "x"}
    for route in routes(house):
        named = {name for name in values if f"{{{name}}}" in route.path} & {"task_id", "agent", "request_id"}
        if route.guard != "api_token" or not named:
            continue
        for method in route.methods or ():
            path = route.path
            for name, value in values.items():
                path = path.replace(f"{{{name}}}", value)
            body = {"text": "x"} if "messages" in path else {"decision": "allow"}
            response = await bela.request(method, path, json=body if method != "GET" else None)
            assert response.status_code in (403, 404, 405, 422), (method, route.path, response.status_code)
            assert "npm test" not in response.text and "Fix the test" not in response.text
    hook.cancel()


async def test_attack_22_another_users_standing_agent_does_not_exist(
    anna: httpx.AsyncClient, bela: httpx.AsyncClient
) -> None:
    body = {"name": "gardener", "project": "blog", "isolated": False}
    hers = (await anna.post("/api/agents", json=body)).json()
    for ref in (hers["agent"], hers["agent_id"]):
        for method, path, sent in [
            ("GET", f"/api/agents/{ref}", None),
            ("POST", f"/api/agents/{ref}/start", None),
            ("POST", f"/api/agents/{ref}/stop", None),
            ("DELETE", f"/api/agents/{ref}", None),
            ("GET", f"/api/agents/{ref}/messages", None),
            ("POST", f"/api/agents/{ref}/messages", {"text": "x"}),
        ]:
            assert (await bela.request(method, path, json=sent)).status_code == 404, (method, path)
    assert (await bela.get("/api/agents")).json() == []
    his = await bela.post("/api/agents", json=body)
    assert his.status_code == 201 and his.json()["agent_id"] != hers["agent_id"]
    assert (await anna.get("/api/agents/gardener")).json()["agent_id"] == hers["agent_id"]


async def test_who_may_talk_to_agents_only_makes_none(house: House) -> None:
    _, secret = await KeyRing(house.keys, house.clock).create(MAKER, "x", frozenset({Scope.CONTROL}), "anna", None)
    async with house.client(secret.reveal()) as client:
        refused = await client.post("/api/chat", json={"agent": "gardener", "message": "x", "project": "blog"})
    assert refused.status_code == 403 and "scope `submit`" in refused.json()["detail"]


async def test_a_strangers_key_of_repetition_is_not_ours(
    house: House, anna: httpx.AsyncClient, bela: httpx.AsyncClient, api: httpx.AsyncClient
) -> None:
    made = [(await add(client, key="same"))["task_id"] for client in (anna, bela, api, anna, bela, api)]
    assert made[:3] == made[3:] and len(set(made)) == 3


async def test_a_strangers_dedup_key_gives_nothing_away(anna: httpx.AsyncClient, bela: httpx.AsyncClient) -> None:
    hers = await add(anna, "her secret", dedup_key="deploy")
    refused = await bela.post("/api/tasks", json={"project": "blog", "prompt": "x", "dedup_key": "deploy"})
    assert refused.status_code == 409
    assert hers["task_id"] not in refused.text and "her secret" not in refused.text


async def test_a_strangers_task_can_not_be_waited_for(anna: httpx.AsyncClient, bela: httpx.AsyncClient) -> None:
    hers = await add(anna)
    refused = await bela.post("/api/tasks", json={"project": "blog", "prompt": "x", "after": [hers["task_id"]]})
    assert refused.status_code == 422 and "does not exist" in refused.json()["detail"]
    assert (await add(anna, after=[hers["task_id"]]))["after"] == [hers["task_id"]]


async def test_no_user_writes_into_a_shared_store_in_the_name_of_this_machine(bela: httpx.AsyncClient) -> None:
    refused = await bela.post("/api/tasks", json={"project": "blog", "prompt": "x", "store": "supabase"})
    assert refused.status_code == 403
    assert (await bela.get("/api/systems?store=supabase")).status_code == 403


async def test_figures_are_of_ones_own(house: House, anna: httpx.AsyncClient, bela: httpx.AsyncClient) -> None:
    await run_of_anna(house)
    status = (await bela.get("/api/status")).json()
    assert status["agents"] == 0 and not any(status["tasks"].values())
    assert (await anna.get("/api/status")).json()["agents"] == 1


async def publish(house: House, count: int, task_id: str | None, run_id: str | None = None) -> None:
    events = [BusEvent(EventKind.TASK_RUNNING, house.clock.now(), task_id, run_id, {"n": n}) for n in range(count)]
    await house.bus.publish(*events)


async def test_attack_22_stored_events_are_of_ones_own(
    house: House, anna: httpx.AsyncClient, bela: httpx.AsyncClient, api: httpx.AsyncClient
) -> None:
    hers = (await add(anna))["task_id"]
    await publish(house, 5, None)
    await publish(house, 30, (await add(bela))["task_id"])
    await publish(house, 5, hers)

    async def read(client: httpx.AsyncClient, limit: int) -> list[str | None]:
        after, found = 0, list[str | None]()
        while True:
            page = (await client.get(f"/api/events/stored?after={after}&limit={limit}")).json()
            found += [event["task_id"] for event in page["items"]]
            if page["next_after"] == after:
                return found
            after = page["next_after"]

    assert await read(anna, 3) == [hers] * 6
    assert len(await read(api, 7)) == 42


async def test_attack_22_a_stream_of_events_tells_of_ones_own_alone(house: House) -> None:
    anna, bela = await client_of(house, "anna"), await client_of(house, "bela")
    async with anna, bela, served(house) as server:
        hers, his = (await add(anna))["task_id"], (await add(bela))["task_id"]
        await publish(house, 20, his)
        await publish(house, 20, None)
        await publish(house, 2, hers)
        headers = {"Authorization": bela.headers["Authorization"]}
        async with (
            asyncio.timeout(30),
            httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.port}", headers=headers) as client,
            client.stream("GET", "/api/events?after=0") as stream,
        ):
            seen = list[str]()
            async for line in stream.aiter_lines():
                if line.startswith("data:"):
                    seen.append(json.loads(line[5:])["task_id"])
                if len(seen) == 21:
                    break
        assert set(seen) == {his}


async def test_a_hook_speaks_for_its_own_run_alone(house: House) -> None:
    """Attack 40."""
    await house.agent(RUN_A, owner="anna")
    for token in (token_of(RUN_B), "x"):
        async with house.client(token) as forger:
            assert (await forger.post(f"/internal/hooks/{RUN_A}/permission", json=ASK)).status_code == 403
    assert await house.journal.permissions() == []


def test_a_callers_view() -> None:
    machine = Caller(CallerKind.KEY, "k")
    user = replace(machine, owner="anna")
    assert machine.sees(None) and machine.sees("anna") and user.sees("anna")
    assert not user.sees(None) and not user.sees("bela")
