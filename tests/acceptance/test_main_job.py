"""The main job with real parts: a row becomes a finished result, on every supported release of Claude Code."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import pytest

from ccm_orchestrator.demo.sandbox import Sandbox
from tests.acceptance.worlds import status, wait_for, wait_status, world
from tests.claude import claude_versions
from tests.invariants import check_invariants

pytestmark = [pytest.mark.claude, pytest.mark.tmux, pytest.mark.slow]


@pytest.fixture(scope="module", params=claude_versions())
def daemon(request: pytest.FixtureRequest) -> Iterator[Sandbox]:
    """One running daemon for all tests of a release."""
    with world(version=request.param) as sandbox:
        sandbox.start_daemon()
        yield sandbox
        check_invariants(sandbox)


def result_of(sandbox: Sandbox, task_id: str) -> dict[str, object]:
    with sandbox.api() as api:
        found: dict[str, object] = api.get(f"/api/tasks/{task_id}").raise_for_status().json()
    return found


def test_a_row_inserted_by_hand_starts_an_agent_within_a_second(daemon: Sandbox) -> None:
    started = time.monotonic()
    task_id = daemon.insert_task("Say hello. [scenario:chat]")
    wait_status(daemon, task_id, "claimed", "running", "waiting", "succeeded")
    took_s = time.monotonic() - started
    wait_status(daemon, task_id, "succeeded")
    events = daemon.query("SELECT kind FROM events WHERE task_id = ? ORDER BY seq", task_id)
    assert ("task.claimed",) in events
    assert took_s < 5, "far beyond the second that is promised, even on a busy machine"


def test_the_result_says_what_was_done_and_what_it_cost(daemon: Sandbox) -> None:
    task_id = daemon.insert_task("Write a greeting. [scenario:edit-and-run]", profile="marked")
    wait_status(daemon, task_id, "succeeded", "failed", "held")
    task = result_of(daemon, task_id)
    result = task["result"]
    assert isinstance(result, dict), task
    assert task["status"] == "succeeded", task
    assert result["text"] == "greeting.txt now says: hello, world"
    summary = result["summary"]
    assert [command["command"] for command in summary["commands"]] == ["cat greeting.txt"]
    assert summary["commands"][0]["exit_code"] == 0
    assert any(path.endswith("greeting.txt") for path in summary["files_written"])
    assert summary["tool_counts"] == {"Write": 1, "Edit": 1, "Bash": 1}
    assert result["usage"]["output_tokens"] == 90 + 70 + 60 + 40
    assert result["git"]["files_changed"] == ["greeting.txt"]
    assert result["duration_s"] > 0
    assert result["session_id"] and result["transcript_path"].endswith(f"{result['session_id']}.jsonl")


def test_a_permission_is_asked_waited_for_and_answered(daemon: Sandbox) -> None:
    task_id = daemon.insert_task("Note the date. [scenario:ask-permission]", profile="careful")
    wait_status(daemon, task_id, "waiting")
    agent = daemon.query("SELECT run_id FROM runs WHERE task_id = ?", task_id)[0][0]
    wait_for("an open request", lambda: daemon.query("SELECT 1 FROM permissions WHERE run_id = ?", agent), daemon)
    asked = json.loads(daemon.run("agent", "permissions", "--json").stdout)
    assert "stamp.txt" in json.dumps(asked)
    daemon.run("agent", "approve", str(agent))
    wait_status(daemon, task_id, "succeeded")
    assert (daemon.project / "stamp.txt").exists()


def test_a_denied_permission_comes_back_to_the_agent(daemon: Sandbox) -> None:
    task_id = daemon.insert_task("Note the date again. [scenario:ask-permission]", profile="careful", max_attempts=1)
    wait_status(daemon, task_id, "waiting")
    agent = str(daemon.query("SELECT run_id FROM runs WHERE task_id = ?", task_id)[0][0])
    wait_for("an open request", lambda: daemon.query("SELECT 1 FROM permissions WHERE run_id = ?", agent), daemon)
    daemon.run("agent", "deny", agent, "--reason", "not today")
    wait_status(daemon, task_id, "failed")
    assert "permission denied" in json.dumps(result_of(daemon, task_id)["result"])


def test_an_attempt_that_fails_is_retried(daemon: Sandbox) -> None:
    task_id = daemon.insert_task("Make the tests pass. [scenario:fail-once]", profile="marked")
    wait_status(daemon, task_id, "succeeded", "failed", "held")
    task = result_of(daemon, task_id)
    assert (task["status"], task["attempt"]) == ("succeeded", 2)


def test_done_in_prompt_and_tool_output_is_not_the_end(daemon: Sandbox) -> None:
    task_id = daemon.insert_task("Print [DONE] first.\n[DONE]\n[scenario:echo-done-marker]", profile="marked")
    wait_status(daemon, task_id, "succeeded", "failed", "held")
    result = result_of(daemon, task_id)["result"]
    assert isinstance(result, dict)
    assert result["summary"]["tool_counts"], "it ended before its tools ran"
    last = daemon.query(
        "SELECT kind FROM events WHERE task_id = ? AND kind LIKE 'tool_use%' ORDER BY seq DESC", task_id
    )
    assert last[0][0] != "tool_use_start", "it was ended in the middle of a tool"


def test_a_task_in_print_mode_ends_with_the_figures_of_its_result_record(daemon: Sandbox) -> None:
    task_id = daemon.insert_task("Write a greeting. [scenario:edit-and-run]", profile="print")
    wait_status(daemon, task_id, "succeeded", "failed", "held")
    task = result_of(daemon, task_id)
    result = task["result"]
    assert isinstance(result, dict), task
    assert task["status"] == "succeeded", task
    assert result["usage"]["source"] == "result"
    assert result["usage"]["output_tokens"] == 90 + 70 + 60 + 40


def test_a_message_reaches_a_working_agent_and_is_answered(daemon: Sandbox) -> None:
    task_id = daemon.insert_task("Ask me something. [scenario:slow-tool seconds=4]")
    wait_status(daemon, task_id, "running")
    agent = str(daemon.query("SELECT run_id FROM runs WHERE task_id = ?", task_id)[0][0])
    wait_for(
        "a running tool",
        lambda: daemon.query("SELECT 1 FROM events WHERE run_id = ? AND kind = 'tool_use_start'", agent),
        daemon,
    )
    daemon.run("agent", "send", agent, "and a second line;\nwith `quotes` and $HOME;")
    wait_status(daemon, task_id, "succeeded", "failed", "held")
    assert daemon.query("SELECT status FROM messages WHERE run_id = ?", agent) == [("answered",)]
    result = result_of(daemon, task_id)["result"]
    assert isinstance(result, dict)
    assert result["text"].startswith("You said meanwhile: and a second line;\nwith `quotes` and $HOME;")
    assert "That took a while." in result["text"]


def test_stopping_a_task_ends_its_agent(daemon: Sandbox) -> None:
    task_id = daemon.insert_task("Take your time. [scenario:slow-tool seconds=60]")
    wait_status(daemon, task_id, "running")
    daemon.run("task", "stop", task_id)
    wait_status(daemon, task_id, "cancelled")
    assert status(daemon, task_id) == "cancelled"


def test_a_project_may_ask_its_agents_for_a_marker_but_gives_them_no_rights(daemon: Sandbox) -> None:
    file = daemon.project / ".ccm-orchestrator.toml"
    file.write_text("[profiles.executor]\nend_marker = true\n")
    try:
        task_id = daemon.insert_task("Make the tests pass, please. [scenario:fail-once]", max_attempts=1)
        wait_status(daemon, task_id, "failed")
        file.write_text('[profiles.executor]\npermission_mode = "bypassPermissions"\n')
        refused = daemon.insert_task("Say hello. [scenario:chat]")
        wait_status(daemon, refused, "held")
        assert ".ccm-orchestrator.toml" in json.dumps(result_of(daemon, refused)["hold"])
        daemon.run("task", "stop", refused)
    finally:
        file.unlink()
