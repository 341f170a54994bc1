"""WebSockets on a real server, with the clients that people use."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from ccm_orchestrator.api.server import ApiServer
from ccm_orchestrator.domain.events import BusEvent, EventKind
from tests.api_house import API_TOKEN, INTERNAL_SECRET, PATIENCE_S, RUN_A, RUN_B, House, served, token_of
from tests.live_client import AGENT, happen, live, refusal


@pytest.fixture
async def house() -> House:
    house = House(options={"heartbeat_s": 0.2})
    await house.prepare()
    return house


@pytest.fixture
async def server(house: House) -> AsyncIterator[ApiServer]:
    async with served(house) as running:
        yield running


# Who may listen


@pytest.mark.parametrize("path", ["/ws", "/ws/ccm-aaaaaaaa"])
@pytest.mark.parametrize("token", [None, "", "x", API_TOKEN[:-1], INTERNAL_SECRET, token_of(RUN_A)])
async def test_attack_4_no_upgrade_without_the_token(
    house: House, server: ApiServer, path: str, token: str | None
) -> None:
    await house.agent()
    status, problem = await refusal(server, path, token=token)
    assert status == 401 and problem["type"].endswith("unauthenticated")


@pytest.mark.parametrize("key", ["token", "access_token", "api_key", "authorization", "bearer"])
async def test_attack_4_a_token_in_the_query_opens_nothing(server: ApiServer, key: str) -> None:
    assert (await refusal(server, f"/ws?{key}={API_TOKEN}", token=None))[0] == 401


@pytest.mark.parametrize("origin", ["https://evil.com", "null", "http://localhost:3000", "http://127.0.0.1"])
async def test_attack_4_no_upgrade_for_a_foreign_origin_even_with_the_token(server: ApiServer, origin: str) -> None:
    assert (await refusal(server, origin=origin))[0] == 403
    assert (await refusal(server, token=None, subprotocols=["ccm.v1", f"bearer.{API_TOKEN}"], origin=origin))[0] == 403


async def test_attack_2_no_upgrade_under_a_foreign_name(server: ApiServer) -> None:
    assert (await refusal(server, name="evil.com"))[0] == 421


async def test_a_browser_gives_its_token_as_a_subprotocol_and_is_not_told_it_back(server: ApiServer) -> None:
    origin = f"http://127.0.0.1:{server.port}"
    async with live(server, token=None, subprotocols=["ccm.v1", f"bearer.{API_TOKEN}"], origin=origin) as client:
        assert client.connection.subprotocol == "ccm.v1"
        assert (await client.next())["type"] == "ready"


@pytest.mark.parametrize("offered", [["bearer.x", "ccm.v1"], ["bearer.", "ccm.v1"], ["ccm.v1"]])
async def test_attack_4_a_wrong_token_among_the_subprotocols(server: ApiServer, offered: list[str]) -> None:
    assert (await refusal(server, token=None, subprotocols=offered))[0] == 401


async def test_two_tokens_are_none(server: ApiServer) -> None:
    assert (await refusal(server, subprotocols=["ccm.v1", f"bearer.{API_TOKEN}"]))[0] == 401


async def test_a_subprotocol_that_is_not_spoken_is_refused_in_words(server: ApiServer) -> None:
    status, problem = await refusal(server, token=None, subprotocols=[f"bearer.{API_TOKEN}"])
    assert status == 422 and "`ccm.v1`" in problem["detail"]


@pytest.mark.parametrize(
    "query", ["after=x", "after=-1", f"after={2**70}", "types=nonsense", "batch=perhaps", "unknown=1"]
)
async def test_bad_parameters_are_refused_before_the_upgrade(server: ApiServer, query: str) -> None:
    status, problem = await refusal(server, f"/ws?{query}")
    assert status == 422 and problem["detail"].startswith(f"query.{query.split('=')[0]}")


@pytest.mark.parametrize("ref", ["ccm-ffffffff", "f" * 32, "nobody", "%2e%2e", "%00"])
async def test_what_does_not_exist_is_not_found(server: ApiServer, ref: str) -> None:
    assert (await refusal(server, f"/ws/{ref}"))[0] == 404


# What is told


async def test_the_first_frame_says_who_is_followed_and_from_where(house: House, server: ApiServer) -> None:
    run = await house.agent()
    await happen(house, "before")
    for ref, names in (
        (AGENT, {"agent": AGENT, "run_id": RUN_A}),
        (RUN_A, {"agent": AGENT, "run_id": RUN_A}),
        (run.task_id, {"task_id": run.task_id}),
        (run.session_id, {"session_id": "5bb48bdc"}),
    ):
        async with live(server, f"/ws/{ref}") as client:
            assert await client.next() == {
                "type": "ready", "cursor": 1, "content": "", "data": {**names, "scopes": ["admin"]}
            }  # fmt: skip


async def test_events_become_frames_of_the_types_that_clients_know(house: House, server: ApiServer) -> None:
    run = await house.agent()
    told = [
        (EventKind.AGENT_OUTPUT, {"text": "Hello"}, "output", "Hello"),
        (EventKind.TOOL_USE_START, {"tool_name": "Bash"}, "tool_use", "Bash"),
        (EventKind.FILE_EDIT, {"file_path": "src/App.js"}, "file_change", "Modified: src/App.js"),
        (EventKind.PERMISSION_REQUESTED, {"tool_name": "Write"}, "permission", "Write"),
        (EventKind.AGENT_STATE, {"state": "working"}, "status", "working"),
        (EventKind.SESSION_COMPLETE, {"result": "All done"}, "result", "All done"),
        (EventKind.SESSION_ERROR, {"error_message": "no credit"}, "error", "no credit"),
        (EventKind.MESSAGE, {"status": "answered"}, "receipt", "answered"),
        (EventKind.TASK_SUCCEEDED, {}, "task.completed", "task.succeeded"),
        (EventKind.TASK_FAILED, {}, "task.failed", "task.failed"),
    ]
    async with live(server, f"/ws/{AGENT}") as client:
        await client.next()
        await house.bus.publish(*(BusEvent(k, house.clock.now(), run.task_id, RUN_A, data) for k, data, *_ in told))
        for cursor, (kind, data, frame_type, content) in enumerate(told, 1):
            assert await client.next() == {
                "type": frame_type,
                "cursor": cursor,
                "timestamp": int(house.clock.now().timestamp() * 1000),
                "event": kind.value,
                "task_id": run.task_id,
                "run_id": RUN_A,
                "content": content,
                "truncated": False,
                "data": data,
            }


async def test_the_socket_of_everything_tells_what_becomes_of_tasks(house: House, server: ApiServer) -> None:
    async with live(server) as client, live(server, "/ws?types=tool_use,task.created&types=output") as chooser:
        await client.next(), await chooser.next()
        async with house.client() as api:
            task = (await api.post("/api/tasks", json={"project": "blog", "prompt": "x"})).json()
        at = house.clock.now()
        await house.bus.publish(
            BusEvent(EventKind.TOOL_USE_START, at, task["task_id"], RUN_A),
            BusEvent(EventKind.AGENT_OUTPUT, at, task["task_id"], RUN_A, {"text": "hm"}),
            BusEvent(EventKind.TASK_SUCCEEDED, at, task["task_id"], RUN_A),
        )
        assert [(await client.next())["type"] for _ in range(3)] == ["task.created", "task.output", "task.completed"]
        assert [(await chooser.next())["type"] for _ in range(3)] == ["task.created", "tool_use", "output"]


async def test_others_are_not_told(house: House, server: ApiServer) -> None:
    await house.agent()
    await house.agent(RUN_B)
    async with live(server, f"/ws/{AGENT}") as client:
        await client.next()
        await happen(house, "theirs", run_id=RUN_B)
        await happen(house, "mine")
        frame = await client.next()
        assert (frame["content"], frame["cursor"]) == ("mine", 2)


async def test_a_conversation_is_followed_over_its_runs(house: House, server: ApiServer) -> None:
    await house.agent(session_id="conversation")
    async with live(server, "/ws/conversation") as client:
        await client.next()
        await happen(house, "first")
        await house.agent(RUN_B, session_id="conversation", resumed=True)
        await happen(house, "second", run_id=RUN_B)
        assert [(await client.next())["content"] for _ in range(2)] == ["first", "second"]


# Cursors


async def test_a_cursor_resumes_without_loss_or_repetition(house: House, server: ApiServer) -> None:
    await house.agent()
    await happen(house, "1", "2", "3")
    async with live(server, f"/ws/{AGENT}?after=1") as client:
        assert (await client.next())["cursor"] == 1
        assert [(await client.next())["content"] for _ in range(2)] == ["2", "3"]
    await happen(house, "4")
    async with live(server, f"/ws/{AGENT}?after=3") as client:
        await client.next()
        await happen(house, "5")
        assert [(await client.next())["content"] for _ in range(2)] == ["4", "5"]


async def test_one_far_behind_is_told_everything_once_while_more_happens(house: House, server: ApiServer) -> None:
    await house.agent()
    await happen(house, *(str(number) for number in range(1_700)))
    async with live(server, f"/ws/{AGENT}?after=0") as behind, live(server, f"/ws/{AGENT}") as ahead:
        await behind.next(), await ahead.next()
        await happen(house, *(str(number) for number in range(1_700, 2_000)))
        assert [(await behind.next())["content"] for _ in range(2_000)] == [str(number) for number in range(2_000)]
        assert [(await ahead.next())["content"] for _ in range(300)] == [str(number) for number in range(1_700, 2_000)]


@pytest.mark.parametrize("cursor", [1, 999], ids=["too old", "from another log"])
async def test_a_cursor_that_is_not_kept_is_answered_by_resync(house: House, server: ApiServer, cursor: int) -> None:
    await house.agent()
    await happen(house, "1", "2", "3")
    house.clock.advance(3600)
    await house.events.prune(house.clock.now())
    await happen(house, "4", "5")
    async with live(server, f"/ws/{AGENT}?after={cursor}") as client:
        await client.next()
        resync = await client.next()
        assert resync == {"type": "resync", "cursor": 5, "content": "", "data": {"first_seq": 4, "last_seq": 5}}
        await happen(house, "6")
        assert (await client.next())["content"] == "6"


async def test_many_at_once_for_those_who_ask(house: House, server: ApiServer) -> None:
    await house.agent()
    await happen(house, *(str(number) for number in range(900)))
    got: list[dict[str, Any]] = []
    messages = 0
    async with live(server, f"/ws/{AGENT}?after=0&batch=true") as client:
        while len(got) < 901:
            async with asyncio.timeout(PATIENCE_S):
                frames = json.loads(await client.connection.recv())
            messages += 1
            got += [frame for frame in frames if frame["type"] != "heartbeat"]
    assert [frame["content"] for frame in got[1:]] == [str(number) for number in range(900)]
    assert messages < 20


async def test_a_heartbeat_tells_how_far_everything_was_told(house: House, server: ApiServer) -> None:
    await house.agent()
    await house.agent(RUN_B)
    async with live(server, f"/ws/{AGENT}") as client:
        assert (await client.until("heartbeat"))["cursor"] == 0
        await happen(house, "not for this client", run_id=RUN_B)
        while (frame := await client.until("heartbeat"))["cursor"] != 1:
            assert frame["cursor"] == 0


async def test_what_is_too_large_for_a_frame_is_named(house: House, server: ApiServer) -> None:
    await house.agent()
    async with live(server, f"/ws/{AGENT}") as client:
        await client.next()
        await happen(house, "x" * 300_000)
        frame = await client.next()
    assert (frame["truncated"], frame["data"], len(frame["content"])) == (True, {}, 64_000)
