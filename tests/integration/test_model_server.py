"""The scripted model over real HTTP, as clients other than Claude Code see it."""

import asyncio
import json
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from ccm_orchestrator.demo.model import ScriptedModel
from ccm_orchestrator.demo.scenario import Scenario, shipped_scenarios
from tests.unit.demo.requests import Body, body, user

LIMIT_S = 30.0
COMMAND = (sys.executable, "-m", "ccm_orchestrator.demo.model")


def scenario(name: str, **turn: Any) -> Scenario:
    return Scenario.model_validate({"name": name, "summary": "x", "turn": [turn]})


SCENARIOS = (
    scenario("plain", say="hello there", usage={"input": 7, "output": 3}),
    scenario("limit", error={"status": 429, "message": "too much", "retry": False, "limit_resets_in_s": 60}),
    scenario("later", error={"status": 529, "message": "busy", "retry_after_s": 2.5}),
    *(
        scenario(kind, say="a text to break off", fault={"kind": kind})
        for kind in ("hang", "stall", "garbage", "truncate", "reset", "reset-midstream")
    ),
)


@pytest.fixture
async def model() -> AsyncIterator[ScriptedModel]:
    model = ScriptedModel(SCENARIOS)
    async with model.running():
        yield model


@pytest.fixture
async def client(model: ScriptedModel) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=model.base_url, trust_env=False, timeout=LIMIT_S) as client:
        yield client


def ask(name: str, *, stream: bool = True) -> Body:
    return {**body(user(f"[scenario:{name}]")), "stream": stream}


def events(raw: bytes) -> Iterator[dict[str, Any]]:
    for block in raw.decode().split("\n\n"):
        if block:
            kind, data = block.split("\n")
            event = json.loads(data.removeprefix("data: "))
            assert kind == f"event: {event['type']}"
            yield event


async def test_an_answer_is_streamed(client: httpx.AsyncClient) -> None:
    response = await client.post("/v1/messages?beta=true", json=ask("plain"))
    assert response.status_code == 200
    assert response.headers["content-type"] == "text/event-stream"
    received = list(events(response.content))
    assert received[0]["type"] == "message_start" and received[-1]["type"] == "message_stop"
    deltas = [event["delta"]["text"] for event in received if event["type"] == "content_block_delta"]
    assert "".join(deltas) == "hello there"


async def test_an_answer_comes_whole_when_no_stream_is_wanted(client: httpx.AsyncClient) -> None:
    message = (await client.post("/v1/messages", json=ask("plain", stream=False))).json()
    assert message["content"] == [{"type": "text", "text": "hello there"}]
    assert message["usage"]["input_tokens"] == 7


async def test_a_connection_serves_many_requests(model: ScriptedModel, client: httpx.AsyncClient) -> None:
    answers = await asyncio.gather(*(client.post("/v1/messages", json=ask("plain")) for _ in range(40)))
    assert [answer.status_code for answer in answers] == [200] * 40
    for _ in range(3):
        assert (await client.head("/")).status_code == 200
    assert len(model.requests) == 43


async def test_an_error_has_the_shape_and_headers_of_the_api(client: httpx.AsyncClient) -> None:
    response = await client.post("/v1/messages", json=ask("limit"))
    assert response.status_code == 429
    assert response.json()["error"] == {"type": "rate_limit_error", "message": "too much"}
    assert response.headers["x-should-retry"] == "false"
    assert response.headers["anthropic-ratelimit-unified-status"] == "rejected"
    assert int(response.headers["anthropic-ratelimit-unified-reset"]) > 1_700_000_000
    later = await client.post("/v1/messages", json=ask("later"))
    assert (later.status_code, later.headers["retry-after"]) == (529, "2.5")


@pytest.mark.parametrize("stream", [True, False])
async def test_half_an_answer_can_end_in_order(client: httpx.AsyncClient, stream: bool) -> None:
    response = await client.post("/v1/messages", json=ask("truncate", stream=stream))
    assert response.status_code == 200
    assert b"message_stop" not in response.content
    if not stream:
        with pytest.raises(ValueError):
            response.json()


async def test_garbage_is_no_event(client: httpx.AsyncClient) -> None:
    response = await client.post("/v1/messages", json=ask("garbage"))
    with pytest.raises(ValueError):
        list(events(response.content))


@pytest.mark.parametrize("kind", ["reset", "reset-midstream"])
async def test_a_connection_can_be_reset(client: httpx.AsyncClient, kind: str) -> None:
    with pytest.raises(httpx.ReadError):
        await client.post("/v1/messages", json=ask(kind))


async def test_silence_before_the_answer(client: httpx.AsyncClient) -> None:
    with pytest.raises(httpx.ReadTimeout):
        await client.post("/v1/messages", json=ask("hang"), timeout=0.5)


async def test_silence_within_the_answer(client: httpx.AsyncClient) -> None:
    received = b""
    with pytest.raises(httpx.ReadTimeout):
        async with client.stream("POST", "/v1/messages", json=ask("stall"), timeout=0.5) as response:
            async for piece in response.aiter_raw():
                received += piece
    assert b"message_start" in received and b"message_stop" not in received


async def test_stopping_does_not_wait_for_silent_answers() -> None:
    model = ScriptedModel(SCENARIOS)
    async with httpx.AsyncClient(trust_env=False, timeout=LIMIT_S) as client:
        async with asyncio.timeout(LIMIT_S), model.running() as base_url:
            waiting = asyncio.create_task(client.post(f"{base_url}/v1/messages", json=ask("hang")))
            while not model.requests:  # noqa: ASYNC110 - the model has no event for it
                await asyncio.sleep(0.01)
        with pytest.raises(httpx.RemoteProtocolError):
            await waiting


async def test_a_bad_tag_is_answered_with_its_reason(client: httpx.AsyncClient) -> None:
    response = await client.post("/v1/messages", json=ask("none"))
    assert response.status_code == 400
    assert "asks for scenario 'none'" in response.json()["error"]["message"]


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"{}", b'{"messages": [{}]}', b'{"messages": 3, "model": "m"}'])
async def test_what_is_no_request_is_refused(client: httpx.AsyncClient, content: bytes) -> None:
    response = await client.post("/v1/messages", content=content)
    assert response.status_code == 400
    assert response.json()["error"]["type"] == "invalid_request_error"


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/"), ("POST", "/v1/complete"), ("HEAD", "/v1"), ("PUT", "/v1/messages")]
)
async def test_everything_else_is_not_there(client: httpx.AsyncClient, method: str, path: str) -> None:
    response = await client.request(method, path)
    assert response.status_code == 404
    if method != "HEAD":
        assert response.json()["error"]["message"] == f"the scripted model has no {method} {path}"


async def test_side_routes(client: httpx.AsyncClient) -> None:
    assert (await client.post("/v1/messages/count_tokens", json=ask("plain"))).json()["input_tokens"] > 10
    assert (await client.get("/v1/models")).json()["data"] == []


async def test_bytes_that_are_no_http_harm_nobody(model: ScriptedModel, client: httpx.AsyncClient) -> None:
    host, port = model.base_url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"\x16\x03\x01 hello\r\n\r\n")
    assert await asyncio.wait_for(reader.read(), LIMIT_S) == b""
    writer.close()
    assert (await client.post("/v1/messages", json=ask("plain"))).status_code == 200


async def test_requests_are_recorded_without_the_key(model: ScriptedModel, client: httpx.AsyncClient) -> None:
    headers = {"X-Api-Key": "secret-1", "Authorization": "Bearer secret-2", "X-App": "cli"}
    await client.post("/v1/messages", json=ask("plain"), headers=headers)
    (request,) = model.requests
    assert (request.answered, request.session_id, request.model) == ("plain turn 1", "s1", "claude-test")
    assert (request.last_user_text, request.message_count, request.cwd) == ("[scenario:plain]", 1, "/home/u/p")
    assert request.headers["x-app"] == "cli"
    assert "secret" not in repr(vars(request))
    assert request.body == {}


def test_it_runs_in_a_thread_and_leaves_none() -> None:
    model = ScriptedModel(SCENARIOS, keep_bodies=True)
    with model.in_thread() as base_url:
        answer = httpx.post(f"{base_url}/v1/messages", json=ask("plain"), trust_env=False, timeout=LIMIT_S)
        assert answer.status_code == 200
    assert model.requests[0].body["model"] == "claude-test"
    with pytest.raises(httpx.ConnectError):
        httpx.get(base_url, trust_env=False)


def test_a_taken_port_is_told_to_the_caller() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as taken,
        pytest.raises(OSError),
        ScriptedModel(SCENARIOS).in_thread(taken.getsockname()[1]),
    ):
        pytest.fail("two servers on one port")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_command_prints_its_address_and_ends_on_a_signal(number: signal.Signals) -> None:
    with subprocess.Popen([*COMMAND, "--port", "0"], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        base_url = process.stdout.readline().strip()
        assert httpx.head(base_url, trust_env=False, timeout=LIMIT_S).status_code == 200
        process.send_signal(number)
        assert process.wait(LIMIT_S) == 0


def test_the_command_refuses_bad_scenarios(tmp_path: Path) -> None:
    (tmp_path / "bad.toml").write_text('name = "bad"\n')
    run = subprocess.run(
        [*COMMAND, "--scenarios", tmp_path], capture_output=True, text=True, timeout=LIMIT_S, check=False
    )
    assert run.returncode == 2
    assert run.stderr == f"{tmp_path}/bad.toml: summary: Field required; turn: Field required\n"


def test_the_command_says_when_its_port_is_taken() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        run = subprocess.run(
            [*COMMAND, "--port", str(port)], capture_output=True, text=True, timeout=LIMIT_S, check=False
        )
    assert run.returncode == 1
    assert f"cannot listen on 127.0.0.1:{port}: " in run.stderr


def test_the_shipped_scenarios_can_be_served() -> None:
    with ScriptedModel(shipped_scenarios()).in_thread() as base_url:
        answer = httpx.post(f"{base_url}/v1/messages", json=ask("edit-and-run"), trust_env=False, timeout=LIMIT_S)
        assert b"greeting.txt" in answer.content
