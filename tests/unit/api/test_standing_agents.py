"""Standing agents over HTTP: created, found by name, written to, stopped, started, deleted."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from ccm_orchestrator.domain.caller import Caller, CallerKind, Scope
from ccm_orchestrator.security.keyring import KeyRing
from tests.api_house import House

WRITER = {"name": "writer", "project": "shop"}


async def test_an_agent_is_created_found_and_listed(house: House, api: httpx.AsyncClient) -> None:
    made = await api.post("/api/agents", json={**WRITER, "model": "opus", "allowed_tools": ["Read"], "idle_s": 60})
    assert made.status_code == 201
    agent = made.json()
    assert (agent["kind"], agent["agent"], agent["status"], agent["wanted"]) == (
        "standing",
        "writer",
        "hibernating",
        "running",
    )
    assert (agent["project"], agent["profile"], agent["model"], agent["idle_s"]) == ("shop", "planning", "opus", 60)
    assert (agent["run"], agent["task_id"], agent["directory"]) == (
        None,
        None,
        f"/fake-state/agents/{agent['agent_id']}",
    )
    for ref in ("writer", agent["agent_id"]):
        assert (await api.get(f"/api/agents/{ref}")).json() == agent
    assert (await api.get("/api/agents", params={"kind": "standing"})).json() == [agent]
    assert (await api.get("/api/agents")).json() == []


async def test_its_first_message_becomes_a_task_of_its_own_conversation(house: House, api: httpx.AsyncClient) -> None:
    agent = (await api.post("/api/agents", json={**WRITER, "message": "Hello"})).json()
    assert agent["status"] == "starting"
    task = await house.store.get(agent["task_id"])
    assert (task.prompt, task.source, task.tags, task.max_attempts) == ("Hello", "standing", ("agent:writer",), 1)
    assert task.options is not None
    assert (task.options.session_id, task.options.linger_s) == (agent["session_id"], 600)
    (message,) = (await api.get("/api/agents/writer/messages")).json()
    assert (message["text"], message["status"], message["agent"], message["run_id"]) == (
        "Hello",
        "queued",
        "writer",
        None,
    )
    path = f"/api/agents/writer/messages/{message['message_id']}"
    assert (await api.get(path, params={"wait_s": 0.01})).json() == message


async def test_what_concerns_a_process_needs_one(api: httpx.AsyncClient) -> None:
    await api.post("/api/agents", json=WRITER)
    for path in ("state", "screen", "permissions"):
        answer = await api.get(f"/api/agents/writer/{path}")
        assert (answer.status_code, "before its first message" in answer.json()["detail"]) == (404, True)


async def test_a_repeated_message_is_sent_once(api: httpx.AsyncClient) -> None:
    await api.post("/api/agents", json=WRITER)
    key = {"Idempotency-Key": "k1"}
    sent = [await api.post("/api/agents/writer/messages", json={"text": "Hello"}, headers=key) for _ in range(2)]
    assert [answer.status_code for answer in sent] == [202, 202]
    assert sent[0].json()["message_id"] == sent[1].json()["message_id"]
    assert len((await api.get("/api/agents/writer/messages")).json()) == 1
    other = await api.post("/api/agents/writer/messages", json={"text": "Something else"}, headers=key)
    assert other.status_code == 409


async def test_stop_start_and_delete(house: House, api: httpx.AsyncClient) -> None:
    await api.post("/api/agents", json={**WRITER, "message": "Hello"})
    stopped = await api.post("/api/agents/writer/stop")
    assert (stopped.status_code, stopped.json()["status"]) == (202, "stopped")
    assert (await api.post("/api/agents/writer/messages", json={"text": "Hello?"})).status_code == 409
    assert (await api.post("/api/agents/writer/start")).json()["status"] == "hibernating"
    assert (await api.post("/api/agents/writer/messages", json={"text": "Hello!"})).status_code == 202
    gone = await api.delete("/api/agents/writer")
    assert (gone.status_code, gone.json()["status"]) == (202, "terminated")
    assert house.workshops.made == set()
    assert (await api.get("/api/agents/writer")).status_code == 404
    assert (await api.get("/api/agents", params={"kind": "standing"})).json() == []
    assert len((await api.get("/api/agents", params={"kind": "standing", "ended": True})).json()) == 1


async def test_an_agent_is_changed_and_the_audit_log_says_from_what_to_what(
    house: House, api: httpx.AsyncClient
) -> None:
    made = (await api.post("/api/agents", json={**WRITER, "model": "opus", "allowed_tools": ["Read"]})).json()
    body = {"model": None, "idle_s": 60, "time_limit_s": 900, "system_prompt": "Secret."}
    changed = await api.patch("/api/agents/writer", json=body)
    assert changed.status_code == 200
    expected = {**made, "model": None, "idle_s": 60, "time_limit_s": 900}
    assert changed.json() == (await api.get("/api/agents/writer")).json() == expected
    (entry, *_) = (await api.get("/api/audit")).json()["items"]
    assert (entry["action"], entry["target"]) == ("PATCH /api/agents/{agent}", f"/api/agents/{made['agent_id']}")
    names = ("model", "idle_s", "time_limit_s", "allowed_tools")
    assert [entry["before"][name] for name in names] == ["opus", 600, None, ["Read"]]
    assert [entry["after"][name] for name in names] == [None, 60, 900, ["Read"]]
    assert entry["before"]["system_prompt"] != entry["after"]["system_prompt"]
    assert "Secret" not in str(entry)
    await api.delete("/api/agents/writer")
    assert (await api.patch(f"/api/agents/{made['agent_id']}", json=body)).status_code == 409


@pytest.mark.parametrize(
    "body", [{}, {"idle_s": None}, {"name": "other"}, {"profile": "no-such"}, {"budget_usd": -1}, {"idle_s": 1e99}]
)
async def test_what_cannot_be_is_not_changed(api: httpx.AsyncClient, body: dict[str, Any]) -> None:
    made = (await api.post("/api/agents", json=WRITER)).json()
    answer = await api.patch("/api/agents/writer", json=body)
    assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")
    assert (await api.get("/api/agents/writer")).json() == made


async def test_chat_makes_its_agent_and_tells_what_became_of_the_message(api: httpx.AsyncClient) -> None:
    body = {"message": "Hello", "project": "blog", "wait_s": 0}
    told = (await api.post("/api/chat", json=body)).json()
    assert (told["agent"], told["status"], told["reply"]) == ("brain", "queued", "")
    again = (await api.post("/api/chat", json={**body, "wait_s": 0.01})).json()
    assert again["session_id"] == told["session_id"]
    assert (await api.get("/api/agents/brain")).json()["profile"] == "brain"


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"name": "writer"}, 422),
        ({**WRITER, "name": "Writer"}, 422),
        ({**WRITER, "name": ""}, 422),
        ({**WRITER, "name": "ccm-1f3c9a2b"}, 422),
        ({**WRITER, "idle_s": -1}, 422),
        ({**WRITER, "profile": "no-such"}, 422),
        ({**WRITER, "project": "no-such"}, 422),
        ({**WRITER, "message": " "}, 422),
        ({**WRITER, "extra": 1}, 422),
    ],
)
async def test_what_cannot_be_is_refused_and_leaves_nothing(
    house: House, api: httpx.AsyncClient, body: dict[str, Any], status: int
) -> None:
    answer = await api.post("/api/agents", json=body)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    assert (await house.standing.agents(), house.workshops.made) == ([], set())


async def test_a_model_is_no_matter_of_a_run(house: House, api: httpx.AsyncClient) -> None:
    run = await house.agent()
    answer = await api.post(f"/api/agents/{run.name}/messages", json={"text": "Hello", "model": "opus"})
    assert answer.status_code == 422 and "leave `model` out" in answer.json()["detail"]


async def test_what_belongs_to_one_user_does_not_exist_for_another(house: House) -> None:
    maker = Caller(CallerKind.LOCAL, "local")
    keys = [
        (await KeyRing(house.keys, house.clock).create(maker, owner, frozenset(Scope) - {Scope.ADMIN}, owner, None))[1]
        for owner in ("anna", "bela")
    ]
    async with house.client(keys[0].reveal()) as anna, house.client(keys[1].reveal()) as bela:
        hers = (await anna.post("/api/agents", json={**WRITER, "message": "Secret"})).json()
        assert (await house.store.get(hers["task_id"])).owner == "anna"
        assert (await bela.get("/api/agents", params={"kind": "standing"})).json() == []
        for ref in ("writer", hers["agent_id"]):
            path = f"/api/agents/{ref}"
            assert (await bela.get(path)).status_code == (await bela.get(f"{path}/messages")).status_code == 404
            assert (await bela.post(f"{path}/messages", json={"text": "Hello"})).status_code == 404
            for answer in (await bela.post(f"{path}/stop"), await bela.post(f"{path}/start"), await bela.delete(path)):
                assert answer.status_code == 404
        own = await bela.post("/api/agents", json=WRITER)
        assert own.status_code == 201, "a name is each user's own"
        assert (await bela.get("/api/agents/writer")).json()["agent_id"] == own.json()["agent_id"]
