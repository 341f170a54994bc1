"""The real Claude Code, both pinned releases, plays the shipped scenarios in print mode."""

from pathlib import Path

import pytest

from ccm_orchestrator.demo.scenario import shipped_scenarios
from tests.claude import ClaudeSandbox, PrintRun

pytestmark = pytest.mark.claude

FEW_RETRIES = {"CLAUDE_CODE_MAX_RETRIES": "1"}
SANDBOXED = {"IS_SANDBOX": "1"}  # lets root bypass permissions


def steps(sandbox: ClaudeSandbox) -> list[str]:
    return [request.answered for request in sandbox.model.requests if request.path == "/v1/messages"]


def last_line(run: PrintRun) -> str:
    text: str = run.result["result"]
    return text.splitlines()[-1]


def test_the_release_asked_for_talks_to_the_model(claude_sandbox: ClaudeSandbox) -> None:
    run = claude_sandbox.print_run("hello")
    assert run.result["result"] == "You said: hello"
    agents = {request.headers["user-agent"].split()[0] for request in claude_sandbox.model.requests if request.model}
    assert agents == {f"claude-cli/{claude_sandbox.version}"}


def test_edit_and_run(claude_sandbox: ClaudeSandbox) -> None:
    run = claude_sandbox.print_run("Please [scenario:edit-and-run]", "--permission-mode", "acceptEdits")
    assert run.returncode == 0
    assert run.result["result"] == "greeting.txt now says: hello, world\n\n[DONE]"
    assert (claude_sandbox.project / "greeting.txt").read_text() == "hello, world\n"
    assert steps(claude_sandbox) == [f"edit-and-run turn {number}" for number in (1, 2, 3, 4)]
    assert {request.cwd for request in claude_sandbox.model.requests if request.model} == {str(claude_sandbox.project)}


def test_tokens_are_those_of_the_scenario(claude_sandbox: ClaudeSandbox) -> None:
    run = claude_sandbox.print_run("[scenario:edit-and-run]", "--permission-mode", "acceptEdits")
    turns = next(scenario for scenario in shipped_scenarios() if scenario.name == "edit-and-run").turn
    reported = run.result["usage"]
    assert reported["input_tokens"] == sum(turn.usage.input for turn in turns if isinstance(turn.usage.input, int))
    assert reported["output_tokens"] == 90 + 70 + 60 + 40
    assert reported["cache_read_input_tokens"] == 9200 + 9400 + 9550
    assert reported["cache_creation_input_tokens"] == 8000
    assert run.result["total_cost_usd"] > 0


def test_a_permission_is_denied_where_nobody_can_be_asked(claude_sandbox: ClaudeSandbox) -> None:
    run = claude_sandbox.print_run("[scenario:ask-permission]")
    assert run.result["result"].endswith("[ERROR] permission denied")
    (denial,) = run.result["permission_denials"]
    assert denial["tool_input"]["command"] == "date > stamp.txt"
    assert not (claude_sandbox.project / "stamp.txt").exists()


def test_a_permission_is_given_by_a_rule(claude_sandbox: ClaudeSandbox) -> None:
    run = claude_sandbox.print_run("[scenario:ask-permission]", "--permission-mode", "bypassPermissions", env=SANDBOXED)
    assert run.result["result"] == "The date is in stamp.txt. [DONE]"
    assert (claude_sandbox.project / "stamp.txt").exists()


def test_calls_in_parallel(claude_sandbox: ClaudeSandbox) -> None:
    run = claude_sandbox.print_run("[scenario:parallel-tools]")
    assert len(run.tool_results) == 3
    assert [bool(result.get("is_error")) for result in run.tool_results].count(True) == 1
    assert steps(claude_sandbox) == ["parallel-tools turn 1", "parallel-tools turn 2"]


def test_a_rate_limit_is_retried_and_then_reported(claude_sandbox: ClaudeSandbox) -> None:
    run = claude_sandbox.print_run("[scenario:error-429]", env=FEW_RETRIES)
    assert run.returncode == 1
    assert run.result["is_error"] is True
    assert run.result["result"] == "API Error: Request rejected (429) · too many requests"
    assert steps(claude_sandbox) == ["error-429 turn 1 error 429"] * 2


def test_a_usage_limit_is_reported_at_once(claude_sandbox: ClaudeSandbox) -> None:
    run = claude_sandbox.print_run("[scenario:usage-limit]")
    assert "You have reached your usage limit." in run.result["result"]
    assert steps(claude_sandbox) == ["usage-limit turn 1 error 429"]


@pytest.mark.parametrize(
    ("scenario", "text"),
    [
        ("error-400", "API Error: 400 messages: this scenario refuses every request"),
        ("error-401", "Invalid API key"),
        ("error-403", "403 this account may not use the model"),
        ("error-500", "API Error: 500 Internal server error"),
        ("error-billing", "Credit balance is too low"),
    ],
)
def test_an_error_is_told_to_the_user(claude_sandbox: ClaudeSandbox, scenario: str, text: str) -> None:
    run = claude_sandbox.print_run(f"[scenario:{scenario}]", env=FEW_RETRIES)
    assert run.returncode == 1
    assert text in run.result["result"]


@pytest.mark.parametrize("scenario", ["error-529-then-ok", "garbage", "truncate", "reset", "reset-midstream"])
def test_trouble_that_ends_is_survived(claude_sandbox: ClaudeSandbox, scenario: str) -> None:
    if scenario == "reset-midstream" and claude_sandbox.version == "2.1.197":
        pytest.skip("2.1.197 now and then gives up when a connection is reset within an answer")
    run = claude_sandbox.print_run(f"[scenario:{scenario}]")
    assert run.returncode == 0
    assert run.result["is_error"] is False
    assert steps(claude_sandbox)[-1] == f"{scenario} turn 1"
    assert len(steps(claude_sandbox)) > 1


def test_the_second_attempt_succeeds(claude_sandbox: ClaudeSandbox) -> None:
    runs = [claude_sandbox.print_run("[scenario:fail-once]") for _ in range(2)]
    assert [last_line(run) for run in runs] == ["[ERROR] tests are red", "[DONE]"]


def test_an_attempt_that_resumes_the_conversation_succeeds(claude_sandbox: ClaudeSandbox) -> None:
    first = claude_sandbox.print_run("[scenario:fail-once]")
    second = claude_sandbox.print_run("Try again.", "--resume", first.result["session_id"])
    assert last_line(second) == "[DONE]"
    assert steps(claude_sandbox)[2:] == ["fail-once prompt 1 turn 1", "fail-once prompt 1 turn 2"]


@pytest.mark.parametrize(
    "scenario",
    [
        "background-shell seconds=1",
        "busy rounds=3",
        "crash-resume seconds=1",
        "echo-done-marker seconds=1",
        "long-thinking seconds=1",
        "slow-tool seconds=1",
        "subagent",
    ],
)
def test_a_scenario_reaches_its_end_without_permissions(claude_sandbox: ClaudeSandbox, scenario: str) -> None:
    run = claude_sandbox.print_run(f"[scenario:{scenario}]")
    assert last_line(run) == "[DONE]"
    assert run.result["permission_denials"] == []


def test_a_long_prompt_arrives_whole(newest_claude_sandbox: ClaudeSandbox) -> None:
    prompt = "[scenario:chat] " + "naïve 'quotes' $HOME `x` 😀\n" * 8000
    newest_claude_sandbox.print_run(prompt)
    assert newest_claude_sandbox.model.requests[-1].last_user_text.strip() == prompt.strip()


def test_nothing_of_the_caller_reaches_the_agent(
    newest_claude_sandbox: ClaudeSandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLAUDECODE", "1")
    monkeypatch.setenv("ANTHROPIC_AUTH_TOKEN", "of the caller")
    assert newest_claude_sandbox.print_run("hello").result["result"] == "You said: hello"
    assert set(newest_claude_sandbox.env) & {"CLAUDECODE", "ANTHROPIC_AUTH_TOKEN"} == set()
    assert newest_claude_sandbox.env["HOME"] != str(Path.home())
