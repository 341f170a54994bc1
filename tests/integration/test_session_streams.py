"""Streams of sessions over real sockets; the agents do what the test says."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from ccm_orchestrator.api.server import ApiServer
from ccm_orchestrator.domain.events import BusEvent, EventKind
from ccm_orchestrator.domain.result import Failure, FailureKind, Outcome, TaskResult
from ccm_orchestrator.domain.run import Mode, Run, RunState
from ccm_orchestrator.domain.task import Hold, HoldReason
from ccm_orchestrator.errors import OrchestratorError
from ccm_orchestrator.ports.launching import STREAM_FILE, Launch
from ccm_orchestrator.ports.tasks import ClaimRequest, Release, ReleaseKind
from tests.api_house import API_TOKEN, PATIENCE_S, RUN_A, RUN_B, House, eventually, served
from tests.streams import Frame

DONE = TaskResult(Outcome.SUCCEEDED, "done")
FAILED = TaskResult(Outcome.FAILED, failure=Failure(FailureKind.AGENT_ERROR, "it fell over"))


@pytest.fixture
async def house() -> House:
    house = House(options={"heartbeat_s": 0.05})
    await house.prepare()
    return house


@pytest.fixture
async def server(house: House) -> AsyncIterator[ApiServer]:
    async with served(house) as server:
        yield server


class Client:
    """One stream, read frame by frame."""

    def __init__(self, answer: httpx.Response) -> None:
        self.answer = answer
        self._lines = answer.aiter_lines()
        self.heartbeats = 0

    async def frame(self) -> Frame:
        fields: dict[str, str] = {}
        async with asyncio.timeout(PATIENCE_S):
            async for line in self._lines:
                if line.startswith(":"):
                    self.heartbeats += 1
                elif line:
                    name, _, value = line.partition(": ")
                    fields[name] = value
                elif "data" in fields:
                    return Frame(fields.get("id"), fields["event"], json.loads(fields["data"]))
                else:
                    fields = {}
        raise EOFError

    async def frames(self, count: int) -> list[Frame]:
        return [await self.frame() for _ in range(count)]

    async def rest(self) -> list[Frame]:
        found = []
        try:
            while True:
                found.append(await self.frame())
        except EOFError:
            return found


@asynccontextmanager
async def streaming(server: ApiServer, method: str, path: str, **request: Any) -> AsyncIterator[Client]:
    headers = {"Authorization": f"Bearer {API_TOKEN}", **request.pop("headers", {})}
    async with (
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.port}", headers=headers, timeout=PATIENCE_S) as client,
        client.stream(method, path, **request) as answer,
    ):
        assert answer.status_code == 200, (await answer.aread()).decode()
        yield Client(answer)


def spawning(server: ApiServer, prompt: str = "Hello", **body: object) -> Any:
    asked = {"prompt": prompt, "project": "blog", "create_session": True, **body}
    return streaming(server, "POST", "/spawn", json=asked)


def resuming(server: ApiServer, session_id: str, last: str) -> Any:
    return streaming(server, "GET", f"/sessions/{session_id}/output", headers={"Last-Event-ID": last})


async def begin(house: House, run_id: str = RUN_A) -> Run:
    """The next task gets an agent."""
    (task,) = await house.store.claim(ClaimRequest(f"claim-{run_id}", "desk", "boot", 1, 60.0))
    task = await house.store.begin(task.key, run_id)
    await house.launchpad.prepare(run_id, 0, Launch(["claude"], {}, Path("/srv/blog")))
    house.launchpad.start(run_id)
    house.clock.advance(1.0)
    run = Run(
        run_id=run_id,
        task_id=task.task_id,
        fence=task.fence,
        attempt=1,
        term=0,
        state=RunState.RUNNING,
        project="blog",
        cwd=Path("/srv/blog"),
        profile="executor",
        driver="claude",
        mode=Mode.PRINT,
        session_id=None,
        resumed=False,
        created_at=house.clock.now(),
    )
    await house.journal.save_run(run, 0)
    await tell(house, run, EventKind.AGENT_STATE)
    return run


async def tell(house: House, run: Run, kind: EventKind) -> None:
    await house.bus.publish(BusEvent(kind, house.clock.now(), run.task_id, run.run_id))


def write(house: House, run: Run, text: str) -> None:
    house.launchpad.write(run.run_id, STREAM_FILE, text.encode())


async def finish(house: House, run: Run, result: TaskResult = DONE) -> None:
    await house.store.finish(run.key, result)
    kind = EventKind.TASK_SUCCEEDED if result.outcome is Outcome.SUCCEEDED else EventKind.TASK_FAILED
    await tell(house, run, kind)


def outputs(frames: list[Frame]) -> list[tuple[str | None, str]]:
    return [(frame.id, frame.data["data"]) for frame in frames if frame.event == "output"]


async def test_each_line_comes_as_soon_as_it_is_whole(house: House, server: ApiServer) -> None:
    async with spawning(server) as client:
        created = await client.frame()
        assert (created.id, created.event) == ("1.0", "session_created")
        assert client.answer.headers["content-location"] == f"/sessions/{created.data['session_id']}/output?turn=1"
        run = await begin(house)
        write(house, run, '{"n":1}\n{"n":')
        assert (await client.frame()).data == {"type": "output", "data": '{"n":1}'}
        write(house, run, '2}\n\n"\u2028ä"\nhalf')
        assert outputs(await client.frames(2)) == [("1.2", '{"n":2}'), ("1.4", '"\u2028ä"')]
        await finish(house, run)
        rest = await client.rest()
    assert outputs(rest) == [("1.5", "half")], "what has no end when the agent has ended is a line, too"
    assert (rest[-1].id, rest[-1].event, rest[-1].data["outcome"]) == ("1.end", "completed", "succeeded")


async def test_a_stream_beats_while_nothing_is_written(house: House, server: ApiServer) -> None:
    async with spawning(server) as client:
        await client.frame()
        run = await begin(house)
        while not client.heartbeats:
            asyncio.get_running_loop().call_later(0.2, write, house, run, "beat\n")
            await client.frame()


@pytest.mark.parametrize(("last", "expected"), [("1.0", [1, 2, 3, 4]), ("1.2", [3, 4]), ("1.3", [4]), ("1.4", [])])
async def test_whoever_comes_back_gets_what_it_missed_and_no_more(
    house: House, server: ApiServer, last: str, expected: list[int]
) -> None:
    async with spawning(server) as client:
        session_id = (await client.frame()).data["session_id"]
        run = await begin(house)
        write(house, run, "1\n2\n")
        await client.frames(2)
    write(house, run, "3\n")
    async with resuming(server, session_id, last) as client:
        write(house, run, "4\n")
        await finish(house, run)
        rest = await client.rest()
    assert outputs(rest) == [(f"1.{number}", str(number)) for number in expected]
    assert rest[-1].event == "completed"


async def test_lines_keep_their_numbers_when_the_machine_lost_the_first_run(house: House, server: ApiServer) -> None:
    async with spawning(server) as client:
        session_id = (await client.frame()).data["session_id"]
        lost = await begin(house)
        write(house, lost, "1\ncut o")
        assert (await client.frame()).id == "1.1"
        release = Release(ReleaseKind.INFRASTRUCTURE, "the machine died", house.clock.now())
        await house.store.release(lost.key, release)
        run = await begin(house, RUN_B)
        write(house, run, "3\n")
        assert outputs(await client.frames(2)) == [("1.2", "cut o"), ("1.3", "3")]
        write(house, run, "4\n")
        assert (await client.frame()).id == "1.4"
    async with resuming(server, session_id, "1.2") as client:
        await finish(house, run)
        assert outputs(await client.rest()) == [("1.3", "3"), ("1.4", "4")]


async def test_a_failure_is_an_error_before_the_end(house: House, server: ApiServer) -> None:
    async with spawning(server) as client:
        await client.frame()
        await finish(house, await begin(house), FAILED)
        error, completed = await client.rest()
    assert (error.event, error.id) == ("error", None)
    assert error.data == {"type": "error", "error": "it fell over", "failure_kind": "agent_error"}
    assert completed.data["outcome"] == "failed"


async def test_a_turn_that_waits_for_a_person_goes_on_in_the_same_stream(house: House, server: ApiServer) -> None:
    async with spawning(server) as client:
        await client.frame()
        run = await begin(house)
        hold = Hold(HoldReason.SETUP, "There is no claude.")
        release = Release(ReleaseKind.VOLUNTARY, "no claude", house.clock.now(), hold)
        await house.store.release(run.key, release)
        await tell(house, run, EventKind.TASK_HELD)
        held = await client.frame()
        assert held.data == {"type": "status", "status": "held", "detail": "There is no claude."}
        await house.control.release_task(run.task_id)
        assert (await client.frame()).data == {"type": "status", "status": "queued"}
        again = await begin(house, RUN_B)
        write(house, again, "after all\n")
        await finish(house, again)
        rest = await client.rest()
    assert outputs(rest) == [("1.1", "after all")]
    assert (rest[-1].id, rest[-1].data["outcome"]) == ("1.end", "succeeded")


async def test_a_message_to_a_busy_session_waits_and_streams_its_own_turn(house: House, server: ApiServer) -> None:
    async with spawning(server) as first:
        session_id = (await first.frame()).data["session_id"]
        run = await begin(house)
        async with streaming(server, "POST", f"/message/{session_id}", json={"prompt": "And then?"}) as second:
            queued = await second.frame()
            assert (queued.event, queued.data["status"], queued.id) == ("status", "queued", None)
            assert await house.store.claim(ClaimRequest("early", "desk", "boot", 1, 60.0)) == []
            await finish(house, run, FAILED)
            await first.rest()
            next_run = await begin(house, RUN_B)
            write(house, next_run, "later\n")
            await finish(house, next_run)
            rest = await second.rest()
    assert outputs(rest) == [("2.1", "later")]
    assert (rest[-1].id, rest[-1].data["turn"]) == ("2.end", 2)


async def test_a_client_at_the_end_of_a_turn_gets_the_next_turn_or_nothing(house: House, server: ApiServer) -> None:
    async with spawning(server) as client:
        session_id = (await client.frame()).data["session_id"]
        await finish(house, await begin(house))
        assert (await client.rest())[-1].id == "1.end"
    async with house.client() as client_of_house:
        path, headers = f"/sessions/{session_id}/output", {"Last-Event-ID": "1.end"}
        assert (await client_of_house.get(path, headers=headers)).status_code == 204
    async with (
        streaming(server, "POST", f"/message/{session_id}", json={"prompt": "Go on"}),
        resuming(server, session_id, "1.end") as client,
    ):
        run = await begin(house, RUN_B)
        write(house, run, "next\n")
        assert (await client.frame()).id == "2.1"


async def test_many_read_one_session_and_some_leave(house: House, server: ApiServer) -> None:
    async with spawning(server) as one:
        session_id = (await one.frame()).data["session_id"]
        run = await begin(house)
        async with resuming(server, session_id, "1.0") as two, resuming(server, session_id, "1.0") as three:
            write(house, run, "1\n")
            assert [(await client.frame()).id for client in (one, two, three)] == ["1.1"] * 3
        write(house, run, "2\n")
        assert (await one.frame()).id == "1.2"
        assert house.watch.runs == {run.run_id}


async def test_nothing_is_watched_when_nobody_reads(house: House, server: ApiServer) -> None:
    async with spawning(server) as client:
        await client.frame()
        run = await begin(house)
        write(house, run, "1\n")
        await client.frame()
        assert house.watch.runs == {run.run_id}

    async def forgotten() -> bool:
        return not house.watch.runs

    await eventually(forgotten, "a watch without runs")
    await finish(house, run)


async def test_lines_come_also_where_files_cannot_be_watched(
    house: House, server: ApiServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refused() -> None:
        raise OrchestratorError("The file system cannot be watched.")

    monkeypatch.setattr(house.watch, "start", refused)
    async with spawning(server) as client:
        await client.frame()
        run = await begin(house)
        write(house, run, "1\n")
        assert (await client.frame()).id == "1.1"
        write(house, run, "2\n")
        assert (await client.frame()).id == "1.2"


async def test_a_server_that_stops_ends_the_stream_without_saying_that_the_turn_is_over(house: House) -> None:
    async with served(house) as server, spawning(server) as client:
        await client.frame()
        write(house, await begin(house), "1\n")
        await client.frame()
        await server.stop()
        assert await client.rest() == []


async def test_terminating_ends_a_turn_that_waits(house: House, server: ApiServer) -> None:
    async with spawning(server) as client, house.client() as api:
        session_id = (await client.frame()).data["session_id"]
        answer = await api.post(f"/terminate/{session_id}")
        assert (answer.status_code, answer.json()["message"]) == (200, "Process terminated successfully")
        rest = await client.rest()
        assert [frame.event for frame in rest] == ["error", "completed"]
        assert rest[-1].data["outcome"] == "cancelled"
        assert (await api.post(f"/terminate/{session_id}")).status_code == 404


async def test_output_that_is_not_kept_any_more_is_gone(house: House, server: ApiServer) -> None:
    async with spawning(server) as client:
        session_id = (await client.frame()).data["session_id"]
        run = await begin(house)
        write(house, run, "1\n")
        await house.journal.save_run(replace(run, started_at=house.clock.now()), 0)
        await finish(house, run)
        await client.rest()
    async with resuming(server, session_id, "1.0") as client:
        assert outputs(await client.rest()) == [("1.1", "1")]
    del house.launchpad.runs[run.run_id]  # as the sweep does with old ones
    headers = {"Authorization": f"Bearer {API_TOKEN}"}
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.port}", headers=headers) as api:
        answer = await api.get(f"/sessions/{session_id}/output", params={"turn": 1})
    assert (answer.status_code, answer.headers["content-type"]) == (410, "application/problem+json")
    assert (answer.json()["type"], answer.json()["facts"]["task_id"]) == (
        "urn:ccm-orchestrator:problem:output-gone",
        run.task_id,
    )
