"""The form of an MCP server, filled in over HTTP by somebody who is not at the agent's window, or left to it."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ccm_orchestrator.demo.model import ScriptedModel
from ccm_orchestrator.demo.sandbox import Sandbox
from ccm_orchestrator.demo.scenario import load_scenarios
from tests.acceptance.test_approvals import answer, ended, open_requests, screen
from tests.acceptance.worlds import CONFIG, wait_for, world
from tests.claude import claude_versions

pytestmark = [pytest.mark.claude, pytest.mark.tmux, pytest.mark.slow]

SERVER = Path(__file__).parent / "form_server.py"
FORMS = """
[profiles.short]
permission_mode = "acceptEdits"
end_marker = true
elicitation_hold_s = 1

[approval_rules.form]
decision = "allow"
tool = "mcp__form__*"

[approval_rules.wait]
decision = "allow"
command = "timeout 4 tail -f /dev/null; true"
"""
SCENARIO = """
name = "form"
summary = "Calls a tool that asks its user by a form, and says what came of it."

[[turn]]
say = "First I wait until the server is there, as a release that does not wait itself must."
[[turn.tool]]
name = "Bash"
input = { command = "timeout 4 tail -f /dev/null; true", description = "Wait" }

[[turn]]
[[turn.tool]]
name = "mcp__form__ask_user"

[[turn]]
say = "It said: {last_result}\\n\\n[DONE]"
"""


@pytest.fixture(params=claude_versions())
def daemon(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Sandbox]:
    (tmp_path / "form.toml").write_text(SCENARIO)
    with world(CONFIG + FORMS, version=request.param, model=ScriptedModel(load_scenarios(tmp_path))) as sandbox:
        server = {"type": "stdio", "command": sys.executable, "args": [str(SERVER)]}
        path = sandbox.home / ".claude.json"
        known = json.loads(path.read_text()) if path.exists() else {}
        path.write_text(json.dumps(known | {"mcpServers": {"form": server}}))
        sandbox.start_daemon()
        yield sandbox


def test_a_form_is_filled_in_from_elsewhere(daemon: Sandbox) -> None:
    task_id = daemon.insert_task("Ask me. [scenario:form]", profile="marked")
    wait_for("a request", lambda: open_requests(daemon, task_id), daemon)
    (request,) = open_requests(daemon, task_id)
    assert request["dialog"] == "elicitation" and request["tool_input"]["message"] == "Please give your user name"
    assert answer(daemon, request)[0] == 422
    assert answer(daemon, request, answers={"username": "ada"})[0] == 200
    task = ended(daemon, task_id)
    assert task["status"] == "succeeded" and '"username": "ada"' in task["result"]["text"]


def test_a_form_that_nobody_fills_in_is_shown_in_the_window(daemon: Sandbox) -> None:
    task_id = daemon.insert_task("Ask me. [scenario:form]", profile="short")
    expired = "SELECT request FROM permissions WHERE status = 'expired' AND request LIKE ?"
    wait_for("an expired request", lambda: daemon.query(expired, f"%{task_id}%"), daemon)
    request = json.loads(str(daemon.query(expired, f"%{task_id}%")[0][0]))
    wait_for("the form", lambda: "Please give your user name" in screen(daemon, request), daemon)
