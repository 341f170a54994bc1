"""Messages with receipts and real parts: long ones of many lines arrive whole, once and in order.

On the newest release only: an older one does not report every message that was typed while it worked.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ccm_orchestrator.demo.model import ScriptedModel
from ccm_orchestrator.demo.sandbox import Sandbox
from ccm_orchestrator.demo.scenario import load_scenarios, shipped_scenarios
from tests.acceptance.worlds import wait_for, world
from tests.claude import claude_versions
from tests.invariants import check_invariants

pytestmark = [pytest.mark.claude, pytest.mark.tmux, pytest.mark.slow]

READER = """
name = "reader"
summary = "Reads whatever comes, and works for a moment first."

[[turn]]
say = "A moment."
[[turn.tool]]
name = "Bash"
input = { command = "echo started; sleep 3", description = "A moment" }
[[turn]]
say = "Ready."

[[prompt]]
repeat = true
[[prompt.turn]]
say = "Read."
"""
COUNT = 50
SIZE = 10_000
PATIENCE_S = 420.0


@pytest.fixture(params=claude_versions()[-1:])
def daemon(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Sandbox]:
    (tmp_path / "reader.toml").write_text(READER)
    model = ScriptedModel([*shipped_scenarios(), *load_scenarios(tmp_path)])
    with world(version=request.param, model=model) as sandbox:
        sandbox.start_daemon()
        yield sandbox
        check_invariants(sandbox)


def long_text(number: int) -> str:
    """Ten thousand characters in lines of all kinds, unlike every other one."""
    lines = [
        f"/message {number} is not a command;",
        f"! nor line {number} a shell's, \"quoted\" and 'quoted' and `quoted` $HOME $(id) #(id) %1 \\",
        f"ünïcödé {number} 日本語 🙂 tab\there",
    ]
    while sum(len(line) + 1 for line in lines) < SIZE:
        lines.append(f"{number}.{len(lines)} {'lorem ipsum dolor sit amet ' * 3}")
    return "\n".join(lines)[:SIZE] + f" end of {number}."


def comparable(text: str) -> str:
    """White space, and the marks around what came too fast to have been typed, are the agent's own affair."""
    return "".join(re.sub(r'</?pasted_content id="[0-9a-f]*">', "", text).split())


def taken(sandbox: Sandbox) -> list[str]:
    """What the agent says that it was told, by its own hook."""
    statement = "SELECT CAST(raw AS TEXT) FROM hook_events WHERE hook_event_name = 'UserPromptSubmit' ORDER BY seq"
    return [comparable(json.loads(str(raw))["prompt"]) for (raw,) in sandbox.query(statement)]


@pytest.mark.timeout(600)
def test_fifty_long_messages_arrive_whole_while_the_agent_is_busy(daemon: Sandbox) -> None:
    texts = [long_text(number) for number in range(COUNT)]
    with daemon.api() as api:
        api.post("/api/agents", json={"name": "reader", "message": "Begin. [scenario:reader]"}).raise_for_status()
        sent = [
            api.post("/api/agents/reader/messages", json={"text": text}).raise_for_status().json() for text in texts
        ]
        assert {message["status"] for message in sent} <= {"queued", "delivered"}

        def receipts() -> list[dict[str, Any]]:
            found: list[dict[str, Any]] = api.get("/api/agents/reader/messages").raise_for_status().json()
            return found[1:]

        def settled() -> bool:
            return all(message["status"] in ("answered", "undelivered", "failed") for message in receipts())

        wait_for(f"{COUNT} settled messages", settled, daemon, PATIENCE_S)
        assert [(m["status"], m["detail"]) for m in receipts()] == [("answered", "")] * COUNT
        answers = {message["answer"] for message in receipts()}
        assert "Read." in answers and all(answers), "those that came while it worked were answered with that turn"
    told = [prompt for prompt in taken(daemon) if "endof" in prompt]
    assert len(told) == COUNT, "each once"
    for text, prompt in zip(texts, told, strict=True):
        assert comparable(text) in prompt, "whole, and in order"
