"""The Python client over TCP: connections that break, daemons that are restarted."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from itertools import islice

import pytest

from ccm_orchestrator.client import AsyncClient, Client, DaemonUnreachable, Event, Patience, Resync
from ccm_orchestrator.domain.events import BusEvent, EventKind
from ccm_orchestrator.domain.result import Outcome, TaskResult
from ccm_orchestrator.domain.run import Run
from ccm_orchestrator.errors import TaskNotFound
from tests.api_house import API_TOKEN, PATIENCE_S, House, eventually, served
from tests.cutting_proxy import NOBODY, CuttingProxy, cutting

QUICK = Patience(first_wait_s=0.01, absence_s=20.0)
COUNT = 120


@pytest.fixture(autouse=True)
def no_long_returns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ccm_orchestrator.api.stream.RECONNECT_MS", 20)


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


@asynccontextmanager
async def reachable(house: House, proxy: CuttingProxy) -> AsyncIterator[None]:
    async with served(house) as server:
        proxy.target = server.port
        yield
    proxy.cut()


async def happen(house: House, *texts: str) -> None:
    for text in texts:
        await house.bus.publish(BusEvent(EventKind.AGENT_OUTPUT, house.clock.now(), None, None, {"text": text}))


async def texts(ccm: AsyncClient, count: int, after: int | None = 0) -> list[str]:
    found: list[str] = []
    async with asyncio.timeout(PATIENCE_S), aclosing(ccm.events.follow(after=after)) as events:
        async for event in events:
            assert isinstance(event, Event)
            found.append(event.data["text"])
            if len(found) == count:
                return found
    raise AssertionError("a stream of events has no end")


async def until(heard: bytearray, words: bytes) -> None:
    async def is_heard() -> bool:
        return words in heard

    await eventually(is_heard, words.decode())


async def finish(house: House, run: Run) -> None:
    await house.store.finish(run.key, TaskResult(Outcome.SUCCEEDED, "Done.", attempt=1))
    house.bus.wake()


async def test_a_stream_over_a_network_that_breaks_loses_and_repeats_nothing(
    house: House, proxy: CuttingProxy, ccm: AsyncClient
) -> None:
    sent = [f"{n} \u2028 ☃\x85\r" for n in range(COUNT)]
    proxy.bytes_per_connection = 3000
    async with reachable(house, proxy):
        reading = asyncio.create_task(texts(ccm, COUNT))
        for text in sent:
            await happen(house, text)
            await asyncio.sleep(0)
        assert await reading == sent
    assert proxy.accepted > 5


async def test_a_connection_that_breaks_before_the_first_event_misses_none(
    house: House, proxy: CuttingProxy, ccm: AsyncClient
) -> None:
    await happen(house, "before")
    async with reachable(house, proxy):
        reading = asyncio.create_task(texts(ccm, 2, after=None))
        await until(proxy.said, b"id: 1")
        proxy.cut()
        await happen(house, "one", "two")
        assert await reading == ["one", "two"]
    assert proxy.accepted > 1


async def test_a_daemon_that_is_restarted_is_followed_on(house: House, proxy: CuttingProxy, ccm: AsyncClient) -> None:
    reading = asyncio.create_task(texts(ccm, 3))
    for text in ("one", "two", "three"):
        house.restart()
        async with reachable(house, proxy):
            await happen(house, text)
            await until(proxy.said, f'"{text}"'.encode())
    assert await reading == ["one", "two", "three"]


async def test_events_that_are_not_kept_are_announced(house: House, proxy: CuttingProxy, ccm: AsyncClient) -> None:
    await happen(house, "1", "2", "3")
    house.clock.advance(3600)
    await house.events.prune(house.clock.now())
    await happen(house, "4")
    async with reachable(house, proxy), aclosing(ccm.events.follow(after=1)) as events, asyncio.timeout(PATIENCE_S):
        assert await anext(events) == Resync(4, 4)
        await happen(house, "5")
        following = await anext(events)
        assert isinstance(following, Event) and following.data == {"text": "5"}


async def test_a_stream_gives_up_on_a_daemon_that_stays_away() -> None:
    async with AsyncClient(f"http://127.0.0.1:{NOBODY}", "t", patience=Patience(absence_s=0.0)) as ccm:
        with pytest.raises(DaemonUnreachable, match="Nothing listens"):
            await anext(ccm.events.follow())


async def test_a_stream_that_is_refused_says_why(house: House, proxy: CuttingProxy, ccm: AsyncClient) -> None:
    async with reachable(house, proxy):
        with pytest.raises(TaskNotFound):
            await anext(ccm.events.follow(task_id="ffffffff"))


async def test_the_blocking_client_does_it_too(house: House, proxy: CuttingProxy) -> None:
    sent = [f"text {n}" for n in range(20)]
    proxy.bytes_per_connection = 1000

    def read() -> list[str]:
        with Client(proxy.url, API_TOKEN, patience=QUICK) as ccm:
            events = ccm.events.follow(after=0)
            got = [event.data["text"] for event in islice(events, len(sent)) if isinstance(event, Event)]
            events.close()
            return got

    await happen(house, *sent)
    async with reachable(house, proxy):
        assert await asyncio.to_thread(read) == sent
    assert proxy.accepted > 2


async def test_a_screen_is_watched_until_its_window_is_closed(
    house: House, proxy: CuttingProxy, ccm: AsyncClient
) -> None:
    run = await house.agent()
    assert run.window is not None
    async with reachable(house, proxy), aclosing(ccm.agents.watch(run.name)) as screens, asyncio.timeout(PATIENCE_S):
        first = await anext(screens)
        assert (first.agent, first.run_id) == (run.name, run.run_id)
        await house.terminal.close_window(run.window)
        assert [screen async for screen in screens] == []


@pytest.mark.parametrize("blocking", [True, False])
async def test_waiting_for_a_task_ends_when_the_task_does(house: House, proxy: CuttingProxy, blocking: bool) -> None:
    run = await house.agent()
    async with reachable(house, proxy):
        waiting = asyncio.create_task(wait(proxy.url, run.task_id, blocking))
        await until(proxy.asked, b"wait_s=")
        await finish(house, run)
        assert await waiting == "Done."
    assert proxy.asked.count(b"wait_s=") == 1


async def test_waiting_outlives_a_restart(house: House, proxy: CuttingProxy) -> None:
    run = await house.agent()
    waiting = asyncio.create_task(wait(proxy.url, run.task_id, blocking=False))
    for looks in (1, 2):
        house.restart()
        async with reachable(house, proxy):
            await until(proxy.asked, b"wait_s=")
            proxy.asked.clear()
        assert not waiting.done(), looks
    await finish(house, run)
    house.restart()
    async with reachable(house, proxy):
        assert await waiting == "Done."


async def wait(url: str, task_id: str, blocking: bool) -> str:
    if blocking:
        with Client(url, API_TOKEN, patience=QUICK) as ccm:
            task = await asyncio.to_thread(ccm.tasks.wait, task_id, PATIENCE_S)
    else:
        async with AsyncClient(url, API_TOKEN, patience=QUICK) as awaiting:
            task = await awaiting.tasks.wait(task_id, PATIENCE_S)
    assert task.result is not None
    return task.result.text


async def test_a_server_that_stops_lets_those_who_wait_go(house: House, proxy: CuttingProxy, ccm: AsyncClient) -> None:
    run = await house.agent()
    async with served(house) as server:
        proxy.target = server.port
        waiting = asyncio.ensure_future(ccm.carrier.http.get(f"/api/tasks/{run.task_id}", params={"wait_s": 60}))
        await until(proxy.asked, b"wait_s=")
        async with asyncio.timeout(4):  # less than requests are given to end
            await server.stop()
        assert (await waiting).json()["status"] == "running"


def test_a_blocking_client_serves_many_threads(house: House) -> None:
    """In a loop of the server's own, so that the threads may block."""

    async def serve(ready: threading.Event, port: list[int], done: threading.Event) -> None:
        async with served(house) as server:
            port.append(server.port)
            ready.set()
            await asyncio.to_thread(done.wait, PATIENCE_S)

    ready, done, port = threading.Event(), threading.Event(), list[int]()
    serving = threading.Thread(target=lambda: asyncio.run(serve(ready, port, done)))
    serving.start()
    try:
        assert ready.wait(PATIENCE_S)
        with Client(f"http://127.0.0.1:{port[0]}", API_TOKEN) as ccm:
            seen: list[str] = []
            threads = [threading.Thread(target=lambda: seen.append(ccm.status().system_id)) for _ in range(8)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(PATIENCE_S)
            assert seen == ["desk"] * 8
    finally:
        done.set()
        serving.join(PATIENCE_S)
