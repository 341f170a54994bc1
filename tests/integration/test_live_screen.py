"""The live screen of an agent: as a stream to look at, and over a WebSocket to work at."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from ccm_orchestrator.api.server import ApiServer
from ccm_orchestrator.domain.run import RunState
from tests.api_house import API_TOKEN, PATIENCE_S, RUN_A, RUN_B, House, eventually, served
from tests.live_client import AGENT, live

Frames = AsyncIterator[tuple[str, dict[str, Any]]]


@pytest.fixture
async def house() -> House:
    house = House(options={"heartbeat_s": 0.2})
    await house.prepare()
    return house


@pytest.fixture
async def server(house: House) -> AsyncIterator[ApiServer]:
    async with served(house) as running:
        yield running


@asynccontextmanager
async def watching(server: ApiServer, token: str = API_TOKEN) -> AsyncIterator[Frames]:
    async with (
        httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{server.port}",
            headers={"Authorization": f"Bearer {token}"},
            timeout=PATIENCE_S,
        ) as client,
        client.stream("GET", f"/api/agents/{AGENT}/screen/stream") as response,
    ):
        assert response.status_code == 200
        yield frames(response)


async def frames(response: httpx.Response) -> Frames:
    kind = ""
    async for line in response.aiter_lines():
        if line.startswith("event: "):
            kind = line.removeprefix("event: ")
        elif line.startswith("data: "):
            yield kind, json.loads(line.removeprefix("data: "))


async def shown(stream: Frames) -> tuple[str, str]:
    async with asyncio.timeout(PATIENCE_S):
        kind, data = await anext(stream)
    assert (data["agent"], data["run_id"]) == (AGENT, RUN_A)
    return kind, data.get("text", "")


async def test_the_screen_is_shown_at_once_and_after_each_change(house: House, server: ApiServer) -> None:
    await house.agent()
    window = house.terminal.of_run(RUN_A)
    window.output = "first"
    async with watching(server) as stream:
        assert await shown(stream) == ("screen", "first")
        window.output = "second"
        assert await shown(stream) == ("screen", "second")
        house.terminal.end(RUN_A)
        assert await shown(stream) == ("gone", "")
        assert [frame async for frame in stream] == []


async def test_viewers_of_one_window_share_the_looks_at_it(house: House, server: ApiServer) -> None:
    await house.agent()
    house.terminal.of_run(RUN_A).output = "x"
    async with watching(server) as one, watching(server) as other:
        assert await shown(one) == await shown(other) == ("screen", "x")
        assert len([task for task in asyncio.all_tasks() if task.get_name() == "screen"]) == 1

    async def nobody_looks() -> bool:
        return not [task for task in asyncio.all_tasks() if task.get_name() == "screen"]

    await eventually(nobody_looks, "the looks to end")


async def test_a_terminal_that_does_not_answer_is_not_guessed_at(house: House, server: ApiServer) -> None:
    await house.agent()
    house.terminal.of_run(RUN_A).output = "x"
    async with watching(server) as stream:
        assert await shown(stream) == ("screen", "x")
        house.terminal.unavailable = True
        assert await shown(stream) == ("unavailable", "")
        house.terminal.unavailable = False
        assert await shown(stream) == ("screen", "x")


async def test_an_agent_without_a_window_cannot_be_watched(house: House, server: ApiServer) -> None:
    await house.agent(window=None)
    async with house.client() as api:
        assert (await api.get(f"/api/agents/{AGENT}/screen/stream")).status_code == 409
        assert (await api.get("/api/agents/ccm-ffffffff/screen/stream")).status_code == 404


async def test_who_looks_ends_with_his_key(house: House, server: ApiServer) -> None:
    await house.agent()
    async with house.client() as api:
        key = (await api.post("/api/keys", json={"name": "screen", "scopes": ["read"]})).json()
        async with watching(server, key["key"]) as stream:
            await shown(stream)
            await api.delete(f"/api/keys/{key['key_id']}")
            with pytest.raises(httpx.RemoteProtocolError):
                async with asyncio.timeout(PATIENCE_S):
                    await anext(stream)


async def test_a_terminal_in_a_browser(house: House, server: ApiServer) -> None:
    """One socket shows the screen and types into it, over the runs of the task."""
    run = await house.agent()
    async with live(server, f"/ws/{run.task_id}?screen=true") as client:
        await client.until("screen")
        await client.say(type="input", text="ls", keys=["Enter"])
        assert (await client.until("screen"))["content"] == "ls"
        house.terminal.end(RUN_A)
        assert (await client.until("screen"))["data"]["gone"]
        ended = await house.journal.run(RUN_A)
        assert house.terminal.of_run(RUN_A).typed == ["ls"]
        assert ended.state is RunState.RUNNING
        await house.agent(RUN_B, task_id=run.task_id)
        house.terminal.of_run(RUN_B).output = "the next one"
        while (frame := await client.until("screen"))["content"] != "the next one":
            pass
        assert frame["data"]["run_id"] == RUN_B
