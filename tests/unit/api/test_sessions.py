"""Sessions over HTTP: what is refused, who sees them, and what each turn asks of its agent."""

from __future__ import annotations

import json
import uuid
from typing import Any

import httpx
import pytest

from ccm_orchestrator.domain.caller import Caller, CallerKind, Scope
from ccm_orchestrator.domain.profiles import Profile
from ccm_orchestrator.domain.session import SpawnWish, TurnWish
from ccm_orchestrator.domain.task import DEFAULT_MAX_ATTEMPTS, TaskStatus
from ccm_orchestrator.engine.sessions import Begun, Sessions
from ccm_orchestrator.errors import QueueFull, WrongStatus
from ccm_orchestrator.ports.tasks import TaskQuery
from ccm_orchestrator.security.keyring import KeyRing
from tests.api_house import House

ELSEWHERE = "5b9c4ad2-6f43-4a0e-93b1-8e8c6e3f7a11"
NOBODY = "00000000-0000-4000-8000-000000000000"


@pytest.fixture
async def house() -> House:
    house = House(Profile("shell", driver="generic", command=("true",)))
    await house.prepare()
    return house


def sessions(house: House) -> Sessions:
    found: Sessions = house.app.state.services.sessions
    return found


async def spawned(house: House, owner: str | None = None, key: str | None = None, **wish: Any) -> Begun:
    turn = TurnWish(**{"prompt": "Hello", **wish})
    return await sessions(house).spawn(SpawnWish(turn, "tester", "blog"), owner, key)


async def keyed(house: House, owner: str | None, *scopes: Scope) -> httpx.AsyncClient:
    maker = Caller(CallerKind.LOCAL, "local")
    _, secret = await KeyRing(house.keys, house.clock).create(maker, "a key", frozenset(scopes), owner, None)
    return house.client(secret.reveal())


@pytest.mark.parametrize(
    ("fields", "status", "words"),
    [
        ({"prompt": " "}, 422, "The prompt is empty"),
        ({"prompt": "half \ud83d"}, 422, "body.prompt"),
        ({"prompt": "a\0b"}, 422, "no NUL characters"),
        ({"project": None}, 422, "Say in which `project` the agent is to work; there are: blog, shop."),
        ({"project": "nowhere"}, 422, "There is no project named 'nowhere'"),
        ({"profile": "wizard"}, 422, "The profile 'wizard' is not configured"),
        ({"profile": "shell"}, 422, "The agent of profile 'shell' keeps no sessions"),
        ({"agent_type": "\n"}, 422, "Expected `agent_type` to be 1 to 100 printable characters"),
        ({"agent_type": "x" * 101}, 422, "Expected `agent_type`"),
        ({"flags": ["--settings", "{}"]}, 422, "The flag '--settings' is not allowed"),
        ({"flags": ["x"] * 101}, 422, "body.flags"),
        ({"tools_allowed": "Read"}, 422, "body.tools_allowed"),
        ({"budget_usd": -1}, 422, "`budget_usd`"),
        ({"system_append": "\udfff"}, 422, "body.system_append"),
        ({"resume_id": NOBODY}, 404, f"There is no session '{NOBODY}'"),
        ({"resume_id": "../../x"}, 404, "There is no session '../../x'"),
        ({"colour": "red"}, 422, "body.colour"),
    ],
)
async def test_bad_input_gets_one_clear_sentence_and_begins_nothing(
    house: House, api: httpx.AsyncClient, fields: dict[str, object], status: int, words: str
) -> None:
    asked = json.dumps({"prompt": "Hello", "project": "blog", **fields})  # ASCII: halves of characters pass
    response = await api.post("/spawn", content=asked, headers={"Content-Type": "application/json"})
    assert response.status_code == status, response.text
    assert words in response.json()["detail"]
    assert await house.store.list(TaskQuery()) == []
    assert (await api.get("/sessions", params={"one_shot": True})).json() == {"sessions": [], "next_before": None}


async def test_a_full_queue_begins_no_session(house: House) -> None:
    for _ in range(5):
        await spawned(house)
    with pytest.raises(QueueFull):
        await spawned(house)
    async with house.client() as client:
        assert len((await client.get("/sessions")).json()["sessions"]) == 5
        response = await client.post("/spawn", json={"prompt": "Hello", "project": "blog"})
    assert response.status_code == 429


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/sessions/{}"),
        ("GET", "/sessions/{}/turns"),
        ("GET", "/sessions/{}/output"),
        ("POST", "/message/{}"),
        ("POST", "/terminate/{}"),
    ],
)
@pytest.mark.parametrize("session_id", [NOBODY, "no-such", "%00", "a" * 3000, "%F0%9F%92%A9"])
async def test_a_session_that_is_none_is_not_found(
    api: httpx.AsyncClient, method: str, path: str, session_id: str
) -> None:
    response = await api.request(method, path.format(session_id), json={"prompt": "Hello"})
    assert response.status_code == 404
    assert response.json()["type"].endswith("session-not-found")


@pytest.mark.parametrize("position", ["", "1", "1.x", "0.1", "1.-1", "9" * 30, "1.5.2", "1.end.", "\u0661.1"])
async def test_a_place_that_is_none_is_refused(house: House, api: httpx.AsyncClient, position: str) -> None:
    begun = await spawned(house)
    path = f"/sessions/{begun.session.session_id}/output"
    response = await api.get(path, params={"after": position})
    assert response.status_code == 422
    assert "Expected the id of an event of a session such as `1.17`" in response.json()["detail"]


async def test_a_turn_that_is_none_is_not_found(house: House, api: httpx.AsyncClient) -> None:
    path = f"/sessions/{(await spawned(house)).session.session_id}/output"
    for asked in ({"turn": 2}, {"after": "7.1"}, {"after": "2.end"}):
        response = await api.get(path, params=asked)
        assert response.status_code == 404
        assert "it has 1" in response.json()["detail"]


async def test_a_turn_is_a_task_in_print_mode_that_is_tried_once(house: House) -> None:
    begun = await spawned(
        house, "anna", tools=("Read",), flags=("--fake-one",), system_append="Be brief.", model="opus", budget_usd=2.0
    )
    task, options = begun.task, begun.task.options
    assert options is not None
    assert uuid.UUID(str(options.session_id)) == uuid.UUID(begun.session.session_id)
    assert (options.print_mode, options.resume, options.allowed_tools) == (True, False, ("Read",))
    assert (options.flags, options.system_prompt) == (("--fake-one", "--only=Read"), "Be brief.")
    assert (task.source, task.owner, task.model, task.budget_usd) == ("spawn", "anna", "opus", 2.0)
    assert task.max_attempts == 1 != DEFAULT_MAX_ATTEMPTS


async def test_what_a_message_leaves_out_is_as_the_session_was_begun_with(house: House) -> None:
    begun = await spawned(house, tools=("Read",), flags=("--fake-one",), system_append="Be brief.", model="opus")
    session_id = begun.session.session_id
    same = (await sessions(house).message(session_id, TurnWish("More"))).task
    assert same.options == begun.task.options
    assert (same.model, same.after) == ("opus", (begun.task.task_id,))
    other = (await sessions(house).message(session_id, TurnWish("More", tools=(), flags=(), model="haiku"))).task
    assert other.options is not None
    assert (other.options.allowed_tools, other.options.flags, other.model) == ((), (), "haiku")
    more = (await sessions(house).message(session_id, TurnWish("More", tools=("Edit",)))).task
    assert more.options is not None
    assert more.options.flags == ("--fake-one", "--only=Edit"), "the session's flags stay"


async def test_a_call_that_is_repeated_with_its_key_begins_nothing_new(house: House) -> None:
    first, again = await spawned(house, key="k"), await spawned(house, key="k")
    assert (again.session.session_id, again.turn, again.task.task_id) == (
        first.session.session_id,
        first.turn,
        first.task.task_id,
    )
    assert (await spawned(house, "anna", key="k")).session.session_id != first.session.session_id
    session_id = first.session.session_id
    one = await sessions(house).message(session_id, TurnWish("More"), "m")
    two = await sessions(house).message(session_id, TurnWish("More"), "m")
    assert (one.turn, one.task.task_id) == (two.turn, two.task.task_id)
    assert (await house.sessions.get(session_id)).turns == 2
    with pytest.raises(WrongStatus, match="asks for something else"):
        await spawned(house, key="k", prompt="Something else")


async def test_a_conversation_begun_elsewhere_can_be_gone_on_with(house: House) -> None:
    house.driver.conversations.add(ELSEWHERE)
    begun = await sessions(house).adopt(ELSEWHERE, SpawnWish(TurnWish("Go on"), "tester", "blog"))
    assert begun.task.options is not None and begun.task.options.resume
    assert begun.session.session_id == ELSEWHERE
    async with await keyed(house, "anna", Scope.SUBMIT, Scope.READ) as anna:
        house.driver.conversations.add(NOBODY)
        body = {"prompt": "Go on", "project": "blog", "resume_id": NOBODY}
        assert (await anna.post("/spawn", json=body)).status_code == 404, "the machine's conversations are not hers"


async def test_a_session_that_was_begun_for_one_message_takes_no_other(house: House, api: httpx.AsyncClient) -> None:
    begun = await sessions(house).spawn(SpawnWish(TurnWish("Hello"), "tester", "blog", one_shot=True), None)
    response = await api.post(f"/message/{begun.session.session_id}", json={"prompt": "More"})
    assert response.status_code == 409
    assert "without `create_session`" in response.json()["detail"]


async def test_a_turn_is_not_retried_while_another_one_is_at_work(house: House, api: httpx.AsyncClient) -> None:
    first = await spawned(house)
    await house.store.cancel(first.task.task_id)
    second = await sessions(house).message(first.session.session_id, TurnWish("More"))
    response = await api.post(f"/api/tasks/{first.task.task_id}/retry")
    assert response.status_code == 409
    assert f"is at work on turn {second.task.task_id}" in response.json()["detail"]
    await house.store.cancel(second.task.task_id)
    assert (await api.post(f"/api/tasks/{first.task.task_id}/retry")).status_code == 200


async def test_sessions_are_listed_with_what_they_do(house: House, api: httpx.AsyncClient) -> None:
    first, second = await spawned(house), await spawned(house)
    await house.store.cancel(first.task.task_id)
    page = (await api.get("/sessions")).json()["sessions"]
    assert [(shown["session_id"], shown["status"], shown["task_id"]) for shown in page] == [
        (second.session.session_id, "queued", second.task.task_id),
        (first.session.session_id, "idle", None),
    ]
    assert page[0] == (await api.get(f"/sessions/{second.session.session_id}")).json()
    (turn,) = (await api.get(f"/sessions/{first.session.session_id}/turns")).json()
    assert (turn["turn"], turn["status"], turn["title"]) == (1, "cancelled", "Hello")
    last = (await api.get("/sessions", params={"limit": 1})).json()
    older = (await api.get("/sessions", params={"limit": 1, "before": last["next_before"]})).json()
    assert older["sessions"] == [page[1]]


async def test_attack_22_a_session_of_another_user_does_not_exist(house: House) -> None:
    hers = await spawned(house, "anna")
    session_id = hers.session.session_id
    everything = frozenset(Scope) - {Scope.ADMIN}
    async with await keyed(house, "bela", *everything) as bela, await keyed(house, "anna", *everything) as anna:
        for method, path in [
            ("GET", f"/sessions/{session_id}"),
            ("GET", f"/sessions/{session_id}/turns"),
            ("GET", f"/sessions/{session_id}/output"),
            ("GET", f"/sessions?before={session_id}"),
            ("POST", f"/message/{session_id}"),
            ("POST", f"/terminate/{session_id}"),
        ]:
            assert (await bela.request(method, path, json={"prompt": "x"})).status_code == 404, path
        body = {"prompt": "x", "project": "blog", "resume_id": session_id}
        assert (await bela.post("/spawn", json=body)).status_code == 404
        assert (await bela.get("/sessions")).json()["sessions"] == []
        assert [found["session_id"] for found in (await anna.get("/sessions")).json()["sessions"]] == [session_id]
        assert (await house.store.get(hers.task.task_id)).status is TaskStatus.QUEUED
        assert (await anna.post(f"/terminate/{session_id}")).status_code == 200


async def test_each_call_needs_its_scope(house: House) -> None:
    session_id = (await spawned(house)).session.session_id
    async with await keyed(house, None, Scope.READ) as reader:
        assert (await reader.post("/spawn", json={"prompt": "x", "project": "blog"})).status_code == 403
        assert (await reader.post(f"/message/{session_id}", json={"prompt": "x"})).status_code == 403
        assert (await reader.post(f"/terminate/{session_id}")).status_code == 403
        assert (await reader.get("/sessions")).status_code == 200
