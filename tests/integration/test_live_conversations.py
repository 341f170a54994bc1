"""WebSockets of sessions and standing agents, which outlive their runs."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from ccm_orchestrator.api.server import ApiServer
from ccm_orchestrator.api.services import ApiServices
from ccm_orchestrator.domain.events import BusEvent, EventKind
from ccm_orchestrator.domain.session import SpawnWish, TurnWish
from tests.api_house import RUN_A, RUN_B, House, served
from tests.live_client import happen, live


@pytest.fixture
async def house() -> House:
    house = House(options={"heartbeat_s": 0.2})
    await house.prepare()
    return house


@pytest.fixture
async def server(house: House) -> AsyncIterator[ApiServer]:
    async with served(house) as running:
        yield running


async def test_a_standing_agent_is_followed_by_name_from_before_its_first_process(
    house: House, server: ApiServer
) -> None:
    async with house.client() as api:
        made = await api.post("/api/agents", json={"name": "helper", "project": "blog"})
        assert made.status_code == 201, made.text
    services: ApiServices = house.app.state.services
    session_id = (await services.standing.find("helper")).session_id
    async with live(server, "/ws/helper") as client:
        assert (await client.next())["data"]["agent"] == "helper"
        sent = await client.say(type="user_message", content="Hello", model="sonnet")
        assert (sent["type"], sent["data"]["message"]["status"]) == ("receipt", "queued"), sent
        await house.agent(session_id=session_id)
        await happen(house, "first process")
        await house.agent(RUN_B, session_id=session_id, resumed=True)
        await happen(house, "second process", run_id=RUN_B)
        said = [(await client.until("output"))["content"] for _ in range(2)]
    assert said == ["first process", "second process"]
    async with house.client() as api:
        (message,) = (await api.get("/api/agents/helper/messages")).json()
    assert (message["text"], message["model"]) == ("Hello", "sonnet")


async def test_a_message_to_a_session_is_its_next_turn(house: House, server: ApiServer) -> None:
    services: ApiServices = house.app.state.services
    begun = await services.sessions.spawn(SpawnWish(TurnWish("Begin"), "tester", "blog"), None)
    async with live(server, f"/ws/{begun.session.session_id}") as client:
        assert (await client.next())["data"]["session_id"] == begun.session.session_id
        sent = await client.say(type="user_message", content="Go on")
        assert (sent["data"]["message"]["turn"], sent["data"]["message"]["behind"]) == (2, 1)
        await house.bus.publish(
            BusEvent(EventKind.TASK_SUCCEEDED, house.clock.now(), sent["data"]["message"]["task_id"])
        )
        assert (await client.until("task.completed"))["task_id"] == sent["data"]["message"]["task_id"]


async def test_a_run_keeps_its_model(house: House, server: ApiServer) -> None:
    await house.agent()
    async with live(server, f"/ws/{RUN_A}") as client:
        refused = await client.say(type="user_message", content="x", model="opus")
    assert refused["data"]["problem"]["status"] == 422
