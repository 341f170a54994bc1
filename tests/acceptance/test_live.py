"""An agent followed over WebSockets with real parts: what it says and does, an answer, an interrupt, a restart."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect
from websockets.sync.connection import Connection as ClientConnection

from ccm_orchestrator.demo.sandbox import Sandbox
from tests.acceptance.worlds import wait_status, world
from tests.claude import claude_versions
from tests.invariants import check_invariants

pytestmark = [pytest.mark.claude, pytest.mark.tmux, pytest.mark.slow]
LIMIT_S = 30.0
RESTART = 1012
Frame = dict[str, Any]


@pytest.fixture(scope="module", params=claude_versions())
def daemon(request: pytest.FixtureRequest) -> Iterator[Sandbox]:
    with world(version=request.param) as sandbox:
        sandbox.start_daemon()
        yield sandbox
        check_invariants(sandbox)


@contextmanager
def live(daemon: Sandbox, path: str) -> Iterator[ClientConnection]:
    token = (daemon.state / "api-token").read_text().strip()
    url = f"ws://127.0.0.1:{daemon.port}{path}"
    with connect(url, additional_headers={"Authorization": f"Bearer {token}"}, proxy=None) as client:
        yield client


def until(client: ClientConnection, frame_type: str, **data: object) -> list[Frame]:
    """All frames up to the first of this type with such data."""
    got: list[Frame] = []
    deadline = time.monotonic() + LIMIT_S
    while True:
        frame: Frame = json.loads(client.recv(timeout=LIMIT_S))
        told = [(one["type"], one["content"]) for one in got]
        assert time.monotonic() < deadline, f"waited in vain for {frame_type}: {told}"
        got.append(frame)
        if frame["type"] == frame_type and data.items() <= frame["data"].items():
            return got


def say(client: ClientConnection, **message: object) -> Frame:
    client.send(json.dumps({"id": "it", **message}))
    while True:
        frame: Frame = json.loads(client.recv(timeout=LIMIT_S))
        if frame["data"].get("reply_to") == "it":
            return frame


def contents(frames: list[Frame], frame_type: str) -> list[str]:
    return [frame["content"] for frame in frames if frame["type"] == frame_type]


def test_what_an_agent_says_and_does_is_told_as_it_happens(daemon: Sandbox) -> None:
    with live(daemon, "/ws") as everything:
        until(everything, "ready")
        task_id = daemon.insert_task("Write a greeting. [scenario:edit-and-run]", profile="marked")
        with live(daemon, f"/ws/{task_id}?after=0") as client:
            frames = until(client, "task.completed")
        told = until(everything, "task.completed")
    assert any("greeting.txt" in content for content in contents(frames, "file_change"))
    assert "$ cat greeting.txt" in contents(frames, "tool_use")
    assert contents(frames, "result")[-1].startswith("greeting.txt now says")
    assert contents(frames, "output")[:2] == ["I will write the file first.", "Now the wording."]
    assert {frame["task_id"] for frame in told if frame["task_id"]} == {task_id}
    assert contents(told, "task.output")[:2] == contents(frames, "output")[:2]
    cursors = [frame["cursor"] for frame in frames]
    assert cursors == sorted(cursors)


def test_what_an_agent_asks_is_answered_there(daemon: Sandbox) -> None:
    task_id = daemon.insert_task("Run it. [scenario:ask-permission]", profile="careful")
    with live(daemon, f"/ws/{task_id}?after=0") as client:
        asked = until(
            client,
            "permission",
        )[-1]
        answered = say(client, type="answer", request_id=asked["data"]["request_id"], decision="allow")
        assert (answered["type"], answered["data"]["permission"]["verdict"]["decision"]) == ("receipt", "allow")
        until(client, "task.completed")


def test_an_interrupted_agent_stays_and_its_screen_says_so(daemon: Sandbox) -> None:
    task_id = daemon.insert_task("Take your time. [scenario:slow-tool]")
    with live(daemon, f"/ws/{task_id}?after=0&screen=true") as client:
        until(client, "tool_use")
        answer = say(client, type="interrupt")
        assert answer["type"] == "receipt", answer
        seen: list[Frame] = []
        while not any("Interrupted" in content for content in contents(seen, "screen")):
            seen += until(client, "screen")
        if not any(frame["data"].get("state") == "waiting" for frame in seen if frame["type"] == "status"):
            until(client, "status", state="waiting")
    wait_status(daemon, task_id, "waiting")
    with daemon.api() as api:
        assert api.post(f"/api/tasks/{task_id}/stop").status_code == 202
    wait_status(daemon, task_id, "cancelled")


def test_a_restart_is_told_and_nothing_is_missed_over_it(daemon: Sandbox) -> None:
    task_id = daemon.insert_task("Take your time. [scenario:busy rounds=4]")
    with live(daemon, f"/ws/{task_id}?after=0") as client:
        seen = until(client, "tool_use")
        daemon.stop_daemon()
        with pytest.raises(ConnectionClosed) as closed:
            while True:
                seen.append(json.loads(client.recv(timeout=LIMIT_S)))
    assert closed.value.rcvd is not None and closed.value.rcvd.code == RESTART
    daemon.start_daemon()
    with live(daemon, f"/ws/{task_id}?after={seen[-1]['cursor']}") as client:
        seen += until(client, "task.completed")
    events = daemon.query("SELECT seq FROM events WHERE task_id = ? ORDER BY seq", task_id)
    told = [frame["cursor"] for frame in seen if frame.get("event")]
    assert told == [seq for (seq,) in events][: len(told)] and len(told) == len(events)
