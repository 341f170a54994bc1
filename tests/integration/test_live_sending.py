"""What clients send over WebSockets, and how these end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from websockets.exceptions import ConnectionClosed

from ccm_orchestrator.api.server import ApiServer
from ccm_orchestrator.domain.agent import AgentState
from ccm_orchestrator.domain.run import Mode
from ccm_orchestrator.domain.transitions import first_view
from tests.api_house import PATIENCE_S, RUN_A, House, eventually, served
from tests.live_client import AGENT, happen, live


@pytest.fixture
async def house() -> House:
    house = House(options={"heartbeat_s": 0.2})
    await house.prepare()
    return house


@pytest.fixture
async def server(house: House) -> AsyncIterator[ApiServer]:
    async with served(house) as running:
        yield running


# What clients send


async def test_a_user_message_is_queued_and_receipted(house: House, server: ApiServer) -> None:
    await house.agent()
    async with live(server, f"/ws/{AGENT}") as client:
        receipt = await client.say(type="user_message", content="And the tests?", timestamp=1703123456789)
        (message,) = await house.journal.messages(RUN_A)
        assert (receipt["type"], receipt["data"]["reply_to"]) == ("receipt", "m1")
        assert receipt["data"]["message"]["message_id"] == message.message_id
        assert receipt["data"]["message"]["status"] == "queued"
    assert message.text == "And the tests?"
    assert house.pokes == 1


async def test_an_answer_is_given_and_the_first_one_wins(house: House, server: ApiServer) -> None:
    await house.agent()
    held = house.ask()
    (request,) = await house.asked()
    async with live(server, f"/ws/{AGENT}") as client:
        first = await client.say(type="answer", request_id=request.request_id, decision="deny", reason="no")
        second = await client.say(type="answer", request_id=request.request_id, decision="allow")
    assert first["data"]["permission"]["verdict"]["decision"] == "deny"
    assert (second["type"], second["data"]["problem"]["status"]) == ("error", 409)
    assert (await held).json()["decision"] == "deny"


async def test_an_interrupt_is_pressed_only_while_the_agent_works(house: House, server: ApiServer) -> None:
    run = await house.agent()
    async with live(server, f"/ws/{AGENT}") as client:
        early = await client.say(type="interrupt")
        held = house.ask()
        (request,) = await house.asked()
        await works(house)
        pressed = await client.say(type="interrupt")
    assert early["data"]["problem"]["status"] == 409
    assert (pressed["type"], pressed["data"]["agent"]) == ("receipt", AGENT)
    assert [key.value for key in house.terminal.of_run(run.run_id).pressed] == ["Escape"]
    held.cancel()
    assert request.run_id == RUN_A


async def works(house: House) -> None:
    """The agent is at work, as its journal knows."""
    view = replace(first_view(house.clock.now()), state=AgentState.WORKING)
    await house.journal.save_views({RUN_A: view})


async def test_an_agent_in_print_mode_says_why_it_takes_nothing(house: House, server: ApiServer) -> None:
    await house.agent(mode=Mode.PRINT)
    async with live(server, f"/ws/{AGENT}") as client:
        for message in ({"type": "user_message", "content": "x"}, {"type": "interrupt"}):
            answer = await client.say(**message)
            assert answer["data"]["problem"]["status"] == 409 and "print mode" in answer["content"]


async def test_input_reaches_the_window(house: House, server: ApiServer) -> None:
    await house.agent()
    async with live(server, f"/ws/{AGENT}") as client:
        answer = await client.say(type="input", text="yes", keys=["Down", "Enter"])
    window = house.terminal.of_run(RUN_A)
    assert answer["type"] == "receipt"
    assert (window.typed, [key.value for key in window.pressed]) == (["yes"], ["Down", "Enter"])


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "[]",
        "null",
        "{}",
        '{"type": "nonsense"}',
        '{"type": "user_message"}',
        '{"type": "user_message", "content": ""}',
        '{"type": "user_message", "content": 5}',
        '{"type": "user_message", "content": "x", "extra": 1}',
        '{"type": "user_message", "content": "\\ud800"}',
        '{"type": "answer", "request_id": "nothing"}',
        '{"type": "answer", "decision": "perhaps"}',
        '{"type": "answer"}',
        '{"type": "input", "keys": ["C-b"]}',
        '{"type": "input", "keys": ["; kill-server"]}',
        "[" * 50_000,
        '{"type": "interrupt", "id": ' + "9" * 6_000 + "}",
    ],
)
async def test_bad_input_is_answered_by_a_problem_and_the_socket_stays(
    house: House, server: ApiServer, text: str
) -> None:
    await house.agent()
    async with live(server, f"/ws/{AGENT}") as client:
        await client.next()
        await client.connection.send(text)
        frame = await client.next()
        assert frame["type"] == "error" and 400 <= frame["data"]["problem"]["status"] < 500, frame
        await client.connection.send(text.encode("utf-8", "surrogatepass"))
        assert (await client.next())["type"] == "error"
        assert (await client.say(type="user_message", content="fine"))["type"] == "receipt"


async def test_what_is_too_large_closes_the_socket(house: House, server: ApiServer) -> None:
    await house.agent()
    async with live(server, f"/ws/{AGENT}") as client:
        await client.next()
        with pytest.raises(ConnectionClosed):
            await client.connection.send("x" * 2_000_000)
            await client.until("nothing")
    assert client.connection.close_code in (1009, 1006)


# Ends


async def test_stopping_closes_sockets_with_the_cursor_to_come_back_with(house: House) -> None:
    await house.agent()
    await happen(house, "1", "2")
    async with served(house) as server, live(server, f"/ws/{AGENT}") as client:
        await client.next()
        async with asyncio.timeout(PATIENCE_S):
            await server.stop()
            with pytest.raises(ConnectionClosed):
                await client.until("nothing")
        assert client.connection.close_code == 1012
        assert client.connection.close_reason == "The daemon stops; come back with after=2."


async def test_nothing_is_left_when_clients_go(house: House, server: ApiServer) -> None:
    await house.agent()
    for _ in range(3):
        async with live(server, f"/ws/{AGENT}") as client:
            await client.next()

    async def quiet() -> bool:
        names = {task.get_name() for task in asyncio.all_tasks()}
        return not names & {"live-in", "live-out", "feed"}

    await eventually(quiet, "the socket's tasks to end")
