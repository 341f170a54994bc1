"""Standing agents with real parts: hibernate → message → the resumed session remembers, on every supported release."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ccm_orchestrator.demo.model import ScriptedModel
from ccm_orchestrator.demo.sandbox import Sandbox
from ccm_orchestrator.demo.scenario import load_scenarios, shipped_scenarios
from tests.acceptance.worlds import launches, wait_for, world
from tests.claude import claude_versions
from tests.invariants import check_invariants

pytestmark = [pytest.mark.claude, pytest.mark.tmux, pytest.mark.slow]

MEMORY = """
name = "memory"
summary = "Knows later what it was told at first, and only if it still has that conversation."
parameters = { word = "nothing" }

[[turn]]
say = "I shall remember it."

[[prompt]]
match = "Count"
[[prompt.turn]]
say = "One."
[[prompt.turn.tool]]
name = "Bash"
input = { command = "echo started; sleep 30", timeout = 600000, description = "Count" }

[[prompt]]
match = "machine lost"
[[prompt.turn]]
say = "Counted, after all."

[[prompt]]
match = "Which word"
repeat = true
[[prompt.turn]]
say = "It was {word}."
"""
ANSWER_S = 60.0


@pytest.fixture(params=claude_versions())
def daemon(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Sandbox]:
    (tmp_path / "memory.toml").write_text(MEMORY)
    model = ScriptedModel([*shipped_scenarios(), *load_scenarios(tmp_path)])
    with world(version=request.param, model=model) as sandbox:
        sandbox.start_daemon()
        yield sandbox
        check_invariants(sandbox)


def ask(sandbox: Sandbox, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
    with sandbox.api() as api:
        return api.request(method, path, json=body, timeout=ANSWER_S + 10).raise_for_status().json()


def say(sandbox: Sandbox, text: str, **more: object) -> Any:
    """The message, once it is answered."""
    body = {"text": text, "wait_s": ANSWER_S, **more}
    sent = ask(sandbox, "POST", "/api/agents/writer/messages", body)
    assert sent["status"] == "answered", f"{sent}\n{sandbox.log_tail()}"
    return sent


def agent(sandbox: Sandbox) -> Any:
    return ask(sandbox, "GET", "/api/agents/writer")


def wait_agent(sandbox: Sandbox, wanted: str) -> None:
    wait_for(f"a {wanted} agent", lambda: agent(sandbox)["status"] == wanted, sandbox)


def test_a_session_that_hibernated_remembers(daemon: Sandbox) -> None:
    made = ask(daemon, "POST", "/api/agents", {"name": "writer", "idle_s": 3})
    assert (made["status"], made["run"]) == ("hibernating", None)
    first = say(daemon, "Remember the word. [scenario:memory word=heliotrope]")
    assert first["answer"] == "I shall remember it."
    awake = agent(daemon)
    assert (awake["status"], awake["run"]["state"]) == ("running", "complete")
    assert Path(awake["directory"]) != daemon.project
    assert (Path(awake["directory"]) / "calc.py").exists()
    wait_agent(daemon, "hibernating")
    assert agent(daemon)["run"]["ended_at"]
    again = say(daemon, "Which word was it?")
    assert again["answer"] == "It was heliotrope."
    assert (again["run_id"], again["task_id"]) != (first["run_id"], first["task_id"])
    assert agent(daemon)["session_id"] == made["session_id"]


def test_a_daemon_that_dies_while_the_agent_rests_changes_nothing(daemon: Sandbox) -> None:
    ask(daemon, "POST", "/api/agents", {"name": "writer", "isolated": False})
    first = say(daemon, "Remember the word. [scenario:memory word=cobalt]")
    daemon.kill_daemon()
    daemon.start_daemon()
    assert agent(daemon)["status"] == "running"
    again = say(daemon, "Which word was it?")
    assert (again["answer"], again["task_id"]) == ("It was cobalt.", first["task_id"])
    assert launches(daemon, first["task_id"]) == 1
    ask(daemon, "POST", "/api/agents/writer/stop")
    wait_agent(daemon, "stopped")
    ask(daemon, "POST", "/api/agents/writer/start")
    assert say(daemon, "Which word was it?")["answer"] == "It was cobalt."


def test_the_model_is_changed_by_a_message_and_kept(daemon: Sandbox) -> None:
    ask(daemon, "POST", "/api/agents", {"name": "writer", "model": "claude-sonnet-5-5"})
    say(daemon, "Remember the word. [scenario:memory word=ochre]")
    assert say(daemon, "Which word was it?", model="claude-haiku-5-5")["answer"] == "It was ochre."
    assert agent(daemon)["model"] == "claude-haiku-5-5"
    ask(daemon, "DELETE", "/api/agents/writer")
    with daemon.api() as api:
        wait_for("a missing agent", lambda: api.get("/api/agents/writer").status_code == 404, daemon)
    gone = daemon.query("SELECT json_extract(agent, '$.directory') FROM standing_agents")
    wait_for("a removed directory", lambda: not Path(str(gone[0][0])).exists(), daemon)


def test_one_may_chat_with_an_agent_that_is_not_there_yet(daemon: Sandbox) -> None:
    told = ask(daemon, "POST", "/api/chat", {"message": "Remember the word. [scenario:memory word=umber]"})
    assert (told["agent"], told["reply"]) == ("brain", "I shall remember it.")
    asked = ask(daemon, "POST", "/api/chat", {"message": "Which word was it?"})
    assert (asked["reply"], asked["session_id"]) == ("It was umber.", told["session_id"])


def transcripts(sandbox: Sandbox) -> str:
    """What is not there yet when an agent dies is lost to it, and is handed in again instead of being gone on with."""
    return "".join(path.read_text() for path in sandbox.home.glob(".claude/projects/*/*.jsonl"))


def test_a_message_over_which_the_agent_is_killed_is_answered_by_its_next_process(daemon: Sandbox) -> None:
    ask(daemon, "POST", "/api/agents", {"name": "writer"})
    first = say(daemon, "Remember the word. [scenario:memory word=sepia]")
    sent = ask(daemon, "POST", "/api/agents/writer/messages", {"text": "Count slowly."})
    wait_for("a tool", lambda: daemon.query("SELECT 1 FROM events WHERE kind = 'tool_use_start'"), daemon)
    wait_for("the message in the agent's own records", lambda: "Count slowly." in transcripts(daemon), daemon)
    record = json.loads((daemon.state / "runs" / agent(daemon)["run_id"] / "run.json").read_text())
    os.kill(record["agent"]["pid"], signal.SIGKILL)
    settled = ask(daemon, "GET", f"/api/agents/writer/messages/{sent['message_id']}?wait_s={ANSWER_S}")
    assert (settled["status"], settled["answer"]) == ("answered", "Counted, after all."), daemon.log_tail()
    assert (settled["task_id"], settled["run_id"]) == (first["task_id"], agent(daemon)["run_id"])
    assert launches(daemon, first["task_id"]) == 2
    asked = daemon.run("agent", "send", "writer", "Which word was it?", "--wait", "--timeout", f"{ANSWER_S:g}")
    assert asked.stdout.strip() == "It was sepia."
