"""Sessions as the Python client streams them, over a network that breaks."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import pytest

from ccm_orchestrator.client import AsyncClient, Client, Patience, SessionEvent
from ccm_orchestrator.errors import NotFound, QueueFull, SessionNotFound
from ccm_orchestrator.ports.tasks import TaskQuery
from tests.api_house import API_TOKEN, PATIENCE_S, RUN_A, RUN_B, House, eventually
from tests.cutting_proxy import CuttingProxy, cutting
from tests.integration.test_python_client import reachable
from tests.integration.test_session_streams import begin, finish, write

QUICK = Patience(first_wait_s=0.01, absence_s=20.0)
LINES = [json.dumps({"n": n, "text": "x\u2028y" * 40}, ensure_ascii=False) for n in range(60)]


@pytest.fixture(autouse=True)
def no_long_returns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ccm_orchestrator.api.sessions.RECONNECT_MS", 20)


@pytest.fixture
async def proxy() -> AsyncIterator[CuttingProxy]:
    async with cutting() as proxy:
        yield proxy


@pytest.fixture
async def house(proxy: CuttingProxy) -> House:
    house = House(options={"heartbeat_s": 0.2, "extra_hosts": frozenset({f"127.0.0.1:{proxy.port}"})})
    await house.prepare()
    return house


@pytest.fixture
async def ccm(proxy: CuttingProxy) -> AsyncIterator[AsyncClient]:
    async with AsyncClient(proxy.url, API_TOKEN, patience=QUICK) as ccm:
        yield ccm


async def work(house: House, run_id: str = RUN_A) -> None:
    """An agent that writes its lines as soon as there is a task."""

    async def queued() -> bool:
        return any(task.status == "queued" for task in await house.store.list(TaskQuery()))

    await eventually(queued, "a queued task")
    run = await begin(house, run_id)
    for line in LINES:
        write(house, run, line + "\n")
        await asyncio.sleep(0)
    await finish(house, run)


def told(events: list[SessionEvent]) -> list[str]:
    return [event.data or "" for event in events if event.type == "output"]


async def everything(stream: AsyncIterator[SessionEvent]) -> list[SessionEvent]:
    async with asyncio.timeout(PATIENCE_S):
        return [event async for event in stream]


async def test_a_session_is_streamed_whole_whatever_breaks(house: House, proxy: CuttingProxy, ccm: AsyncClient) -> None:
    proxy.bytes_per_connection = 4000
    async with reachable(house, proxy):
        working = asyncio.create_task(work(house))
        first = await everything(ccm.sessions.spawn("Hello", project="blog", agent_type="tester"))
        await working
        assert proxy.accepted > 3
        assert told(first) == LINES and first[3].line == json.loads(LINES[2])
        assert (first[0].type, first[-1].type, first[-1].outcome) == ("session_created", "completed", "succeeded")
        session_id = first[0].session_id or ""
        working = asyncio.create_task(work(house, RUN_B))
        second = await everything(ccm.sessions.message(session_id, "And now?"))
        await working
        assert told(second) == LINES and second[-1].turn == 2
        seen = next(event.id for event in second if event.data == LINES[29])
        rest = await everything(ccm.sessions.output(session_id, after=seen))
        assert told(rest) == LINES[30:]
        assert [event async for event in ccm.sessions.output(session_id, after="2.end")] == []
        (session,) = [session async for session in ccm.sessions.list()]
        assert (session.session_id, session.turns, session.status) == (session_id, 2, "idle")
        assert [turn.turn async for turn in ccm.sessions.turns(session_id)] == [1, 2]
        with pytest.raises(NotFound, match="Nothing runs"):
            await ccm.sessions.terminate(session_id)
    assert len(await house.store.list(TaskQuery())) == 2, "nothing was begun twice"


async def test_a_spawn_whose_answer_is_lost_begins_one_agent(
    house: House, proxy: CuttingProxy, ccm: AsyncClient
) -> None:
    proxy.bytes_per_connection = 1
    async with reachable(house, proxy):
        spawning = asyncio.create_task(everything(ccm.sessions.spawn("Hello", project="blog")))

        async def cut_often() -> bool:
            return proxy.accepted > 3

        await eventually(cut_often, "connections that were cut")
        proxy.bytes_per_connection = None
        await work(house)
        assert told(await spawning) == LINES
    assert len(await house.store.list(TaskQuery())) == 1


async def test_the_blocking_client_streams_sessions_too(house: House, proxy: CuttingProxy) -> None:
    proxy.bytes_per_connection = 4000

    def spawn() -> list[SessionEvent]:
        with Client(proxy.url, API_TOKEN, patience=QUICK) as ccm:
            return list(ccm.sessions.spawn("Hello", project="blog", create_session=False))

    async with reachable(house, proxy):
        working = asyncio.create_task(work(house))
        assert told(await asyncio.to_thread(spawn)) == LINES
        await working


async def test_what_is_refused_is_raised(house: House, proxy: CuttingProxy, ccm: AsyncClient) -> None:
    async with reachable(house, proxy):
        with pytest.raises(SessionNotFound):
            await everything(ccm.sessions.message("00000000-0000-4000-8000-000000000000", "x"))
        for n in range(5):
            await ccm.tasks.add("blog", f"{n}")
        proxy.accepted = 0
        with pytest.raises(QueueFull):
            await everything(ccm.sessions.spawn("x", project="blog"))
        assert proxy.accepted <= 1, "it is said at once"
