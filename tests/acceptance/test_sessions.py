"""Sessions with real parts: spawn, stream, drop, resume, a second message that remembers, terminate."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from ccm_orchestrator.demo.sandbox import Sandbox
from tests.acceptance.worlds import wait_for, wait_status, world
from tests.claude import claude_versions
from tests.invariants import check_invariants
from tests.streams import Frame, frames

pytestmark = [pytest.mark.claude, pytest.mark.tmux, pytest.mark.slow]
STREAM_LIMIT_S = 60.0


@pytest.fixture(scope="module", params=claude_versions())
def daemon(request: pytest.FixtureRequest) -> Iterator[Sandbox]:
    with world(version=request.param) as sandbox:
        sandbox.start_daemon()
        yield sandbox
        check_invariants(sandbox)


@contextmanager
def streaming(daemon: Sandbox, method: str, path: str, **request: Any) -> Iterator[Iterator[Frame]]:
    with daemon.api() as api, api.stream(method, path, timeout=STREAM_LIMIT_S, **request) as answer:
        if answer.status_code != 200:
            raise AssertionError(f"{answer.status_code}: {answer.read().decode()}")
        yield frames(answer.iter_lines())


def spawn(daemon: Sandbox, prompt: str, **body: object) -> list[Frame]:
    with streaming(daemon, "POST", "/spawn", json={"prompt": prompt, "agent_type": "tester", **body}) as stream:
        return list(stream)


def say(daemon: Sandbox, session_id: str, prompt: str, **body: object) -> list[Frame]:
    with streaming(daemon, "POST", f"/message/{session_id}", json={"prompt": prompt, **body}) as stream:
        return list(stream)


def resume(daemon: Sandbox, session_id: str, last: str) -> list[Frame]:
    path = f"/sessions/{session_id}/output"
    with streaming(daemon, "GET", path, headers={"Last-Event-ID": last}) as stream:
        return list(stream)


def begun(daemon: Sandbox, prompt: str, **body: object) -> str:
    """A session whose client went away as soon as it knew the session's name."""
    asked = {"prompt": prompt, "create_session": True, **body}
    with streaming(daemon, "POST", "/spawn", json=asked) as stream:
        created = next(stream)
    assert created.event == "session_created"
    return str(created.data["session_id"])


def result(stream: list[Frame]) -> dict[str, Any]:
    return next(frame.line for frame in reversed(stream) if frame.event == "output" and frame.line["type"] == "result")


def session(daemon: Sandbox, session_id: str) -> dict[str, Any]:
    with daemon.api() as api:
        found: dict[str, Any] = api.get(f"/sessions/{session_id}").raise_for_status().json()
    return found


def kept_lines(daemon: Sandbox, task_id: str) -> list[str]:
    runs = daemon.query("SELECT run_id FROM runs WHERE task_id = ? ORDER BY created_at", task_id)
    texts = [(daemon.state / "runs" / str(run) / "stream.jsonl").read_text() for (run,) in runs]
    return [line for text in texts for line in text.splitlines()]


def test_spawn_streams_every_line_as_it_is_written_and_then_completes(daemon: Sandbox) -> None:
    stream = spawn(daemon, "Say hello. [scenario:chat]", create_session=True)
    assert [stream[0].event, stream[-1].event] == ["session_created", "completed"]
    outputs = [frame for frame in stream if frame.event == "output"]
    assert len(outputs) == len(stream) - 2
    assert [frame.id for frame in outputs] == [f"1.{number}" for number in range(1, len(outputs) + 1)]
    assert [frame.data["data"] for frame in outputs] == kept_lines(daemon, stream[-1].data["task_id"])
    assert outputs[0].line["session_id"] == stream[0].data["session_id"]
    assert result(stream)["result"] == "Hello. What shall I do?"
    assert stream[-1].data["outcome"] == "succeeded"


def test_a_dropped_stream_is_resumed_without_loss_also_by_the_next_daemon(daemon: Sandbox) -> None:
    asked = {"prompt": "Take your time. [scenario:slow-tool seconds=4]", "create_session": True}
    with streaming(daemon, "POST", "/spawn", json=asked) as stream:
        session_id = str(next(stream).data["session_id"])
        first = next(stream)
    assert (first.event, first.id) == ("output", "1.1")
    daemon.kill_daemon()
    daemon.start_daemon()
    rest = resume(daemon, session_id, "1.1")
    ids = [frame.id for frame in rest if frame.event == "output"]
    assert ids == [f"1.{number}" for number in range(2, len(ids) + 2)]
    task_id = rest[-1].data["task_id"]
    assert [first.data["data"], *(f.data["data"] for f in rest if f.event == "output")] == kept_lines(daemon, task_id)
    assert result(rest)["result"] == "That took a while.\n\n[DONE]"
    assert rest[-1].data["outcome"] == "succeeded"
    assert len(daemon.query("SELECT 1 FROM runs WHERE task_id = ?", task_id)) == 1, "the agent was started once"


def test_a_second_message_remembers_the_first(daemon: Sandbox) -> None:
    session_id = str(spawn(daemon, "Say hello. [scenario:chat]", create_session=True)[0].data["session_id"])
    stream = say(daemon, session_id, "The word is marmalade.")
    assert stream[0].id == "2.1"
    assert stream[0].line["session_id"] == session_id
    assert "marmalade" in result(stream)["result"]
    assert stream[-1].data["turn"] == 2
    transcripts = list(daemon.home.glob(f".claude/projects/*/{session_id}.jsonl"))
    assert len(transcripts) == 1
    assert "Say hello." in transcripts[0].read_text(), "one conversation holds both"


def test_a_busy_session_queues_the_next_message(daemon: Sandbox) -> None:
    session_id = begun(daemon, "Take your time. [scenario:slow-tool seconds=3]")
    stream = say(daemon, session_id, "And then?")
    assert (stream[0].event, stream[0].data["status"]) == ("status", "queued")
    assert stream[-1].data["outcome"] == "succeeded"
    rows = daemon.query(
        "SELECT r.run ->> 'created_at', r.run ->> 'ended_at' FROM session_turns t JOIN runs r USING (task_id) "
        "WHERE session_id = ? ORDER BY number",
        session_id,
    )
    (_, first_ended), (second_started, _) = rows
    assert str(first_ended) <= str(second_started), "they never ran at the same time"


def test_terminate_ends_the_agent_and_what_waits_and_the_session_can_be_gone_on_with(daemon: Sandbox) -> None:
    session_id = begun(daemon, "Take your time. [scenario:slow-tool seconds=300]")
    wait_for("a running turn", lambda: session(daemon, session_id)["status"] == "running", daemon)
    task_id = str(session(daemon, session_id)["task_id"])
    wait_for("the tool", lambda: '"tool_use"' in "".join(kept_lines(daemon, task_id)), daemon)
    with daemon.api() as api, streaming(daemon, "POST", f"/message/{session_id}", json={"prompt": "Next"}) as queued:
        assert next(queued).data["status"] == "queued"
        answer = api.post(f"/terminate/{session_id}")
        assert (answer.status_code, answer.json()["message"]) == (200, "Process terminated successfully")
        ended = list(queued)
    assert [ended[-2].event, ended[-1].data["outcome"]] == ["error", "cancelled"]
    assert not daemon.query("SELECT 1 FROM runs WHERE task_id = ?", ended[-1].data["task_id"]), "it never began"
    wait_status(daemon, task_id, "cancelled", limit_s=1)
    assert session(daemon, session_id)["status"] == "idle"
    with daemon.api() as api:
        assert api.post(f"/terminate/{session_id}").status_code == 404
    stream = say(daemon, session_id, "Are you still there?")
    assert stream[-1].data["outcome"] == "succeeded"
    assert stream[0].line["session_id"] == session_id


def test_a_session_that_was_ended_before_it_answered_can_be_gone_on_with(daemon: Sandbox) -> None:
    session_id = begun(daemon, "Never answer. [scenario:hang]")
    wait_for("its beginning", lambda: list(daemon.home.glob(f".claude/projects/*/{session_id}.jsonl")), daemon)
    with daemon.api() as api:
        assert api.post(f"/terminate/{session_id}").status_code == 200
    stream = say(daemon, session_id, "Say hello. [scenario:chat]")
    assert stream[-1].data["outcome"] == "succeeded", stream
    assert stream[0].line["session_id"] == session_id


def test_attack_46_an_agent_has_the_tools_it_was_given_and_no_others(daemon: Sandbox) -> None:
    stream = spawn(daemon, "Write a greeting. [scenario:edit-and-run]", tools_allowed=["Write", "Edit"])
    init = next(frame.line for frame in stream if frame.event == "output" and frame.line.get("subtype") == "init")
    assert sorted(init["tools"]) == ["Edit", "Write"]
    assert init["permissionMode"] == "dontAsk"
    written = json.dumps([frame.data for frame in stream])
    assert "No such tool available: Bash" in written
    none = spawn(daemon, "Say hello. [scenario:chat]", tools_allowed=[], flags=["--max-turns", "3", "--effort=low"])
    init = next(frame.line for frame in none if frame.event == "output" and frame.line.get("subtype") == "init")
    assert init["tools"] == []


def test_what_is_not_among_an_agents_tools_is_denied_and_not_asked_for(daemon: Sandbox) -> None:
    prompt = "Note the date. [scenario:ask-permission]"
    stream = spawn(daemon, prompt, tools_allowed=["Read", "Bash(git log:*)"], profile="careful")
    assert [frame.event for frame in stream if frame.event == "status"] == [], "nobody was waited for"
    assert [denied["tool_name"] for denied in result(stream)["permission_denials"]] == ["Bash"]
    assert not (daemon.project / "stamp.txt").exists()


def test_a_one_shot_takes_no_message_and_is_not_listed(daemon: Sandbox) -> None:
    stream = spawn(daemon, "Say hello. [scenario:chat]")
    assert stream[0].event == "output"
    session_id = str(stream[-1].data["session_id"])
    with daemon.api() as api:
        assert api.post(f"/message/{session_id}", json={"prompt": "More"}).status_code == 409
        assert session_id not in [found["session_id"] for found in api.get("/sessions").json()["sessions"]]
        listed = api.get("/sessions", params={"one_shot": True}).json()["sessions"]
    assert session_id in [found["session_id"] for found in listed]


def test_a_failure_is_told_as_an_error_before_the_end(daemon: Sandbox) -> None:
    stream = spawn(daemon, "Fail. [scenario:error-400]")
    assert [frame.event for frame in stream[-2:]] == ["error", "completed"]
    assert "400" in stream[-2].data["error"]
    assert stream[-1].data["outcome"] == "failed"


def test_the_command_line_holds_a_conversation(daemon: Sandbox) -> None:
    elsewhere = daemon.directory / "elsewhere"
    elsewhere.mkdir(exist_ok=True)
    daemon.run("project", "add", str(elsewhere))  # so that the project is the one that the command is called in
    begun_by_command = daemon.run("session", "start", "Say hello. [scenario:chat]")
    assert begun_by_command.stdout == "Hello. What shall I do?\n"
    session_id = begun_by_command.stderr.split()[-1]
    assert "marmalade" in daemon.run("session", "resume", session_id, "The word is marmalade.").stdout
    again = daemon.run("session", "output", session_id, "--turn", "1", "--json").stdout.splitlines()
    assert json.loads(again[-1])["outcome"] == "succeeded"
    assert session_id in daemon.run("session", "list", "-q").stdout.split()
    nothing_runs = daemon.run("session", "terminate", session_id, check=False)
    assert nothing_runs.returncode == 2 and "Nothing runs in session" in nothing_runs.stderr
