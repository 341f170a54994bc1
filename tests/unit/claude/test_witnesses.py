"""Registry, stream, transcript and status line: what lies on disk beside a running agent."""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from ccm_orchestrator.adapters.claude.observation import observe
from ccm_orchestrator.adapters.claude.paths import ConfigPaths, config_paths, launched_paths
from ccm_orchestrator.adapters.claude.registry import read_registry
from ccm_orchestrator.adapters.claude.reporting import report
from ccm_orchestrator.adapters.claude.status_line import run_cost
from ccm_orchestrator.adapters.claude.stream import ended, read_stream
from ccm_orchestrator.adapters.claude.transcript import last_text, read_transcript, usage_since
from ccm_orchestrator.domain.agent import Evidence, Signal, Source
from ccm_orchestrator.domain.result import Usage
from ccm_orchestrator.domain.run import Mode, ProcessRef
from ccm_orchestrator.ports.agents import Reading, SessionTrace
from tests.unit.claude.orders import NOW, SESSION_ID, a_run

AGENT = ProcessRef(4242, "355961")
ENTRY = {"pid": 4242, "procStart": "355961", "sessionId": SESSION_ID, "statusUpdatedAt": 1767614400500}


def write_lines(path: Path, *records: Mapping[str, Any] | str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join((r if isinstance(r, str) else json.dumps(r)) + "\n" for r in records))
    return path


def enter(sessions: Path, **fields: Any) -> None:
    sessions.mkdir(parents=True, exist_ok=True)
    (sessions / f"{fields.get('pid', 4242)}.json").write_text(json.dumps({**ENTRY, **fields}))


# --- registry ---


@pytest.mark.parametrize(
    ("fields", "signal", "detail"),
    [
        ({"status": "idle"}, Signal.IDLE, ""),
        ({"status": "busy"}, Signal.BUSY, ""),
        ({"status": "shell"}, Signal.BACKGROUND, ""),
        ({"status": "waiting", "waitingFor": "permission prompt"}, Signal.BLOCKED, "permission"),
        ({"status": "waiting", "waitingFor": "input needed"}, Signal.BLOCKED, "question"),
        ({"status": "waiting", "waitingFor": "dialog open"}, Signal.BLOCKED, "other"),
        ({"status": "waiting"}, Signal.BLOCKED, "other"),
    ],
)
def test_every_status_is_evidence(tmp_path: Path, fields: dict[str, Any], signal: Signal, detail: str) -> None:
    enter(tmp_path, **fields)
    at = datetime(2026, 1, 5, 12, 0, 0, 500_000, tzinfo=UTC)
    assert read_registry(tmp_path, AGENT, None) == Evidence(Source.REGISTRY, signal, at, detail)


@pytest.mark.parametrize("fields", [{"status": "dreaming"}, {}, {"status": "idle", "statusUpdatedAt": None}])
def test_an_entry_without_its_fields_says_nothing(tmp_path: Path, fields: dict[str, Any]) -> None:
    enter(tmp_path, **fields)
    assert read_registry(tmp_path, AGENT, None) is None


def test_an_earlier_process_s_entry_is_not_believed(tmp_path: Path) -> None:
    enter(tmp_path, status="idle", procStart="1")
    assert read_registry(tmp_path, AGENT, SESSION_ID) is None


def test_a_missing_directory_or_broken_entry_says_nothing(tmp_path: Path) -> None:
    assert read_registry(tmp_path / "none", AGENT, SESSION_ID) is None
    (tmp_path / "4242.json").write_text('{"pid": 42')
    assert read_registry(tmp_path, AGENT, None) is None


def test_a_wrapper_s_child_is_found_by_its_session(tmp_path: Path) -> None:
    start = Path(f"/proc/{os.getpid()}/stat").read_text().rpartition(")")[2].split()[19]
    enter(tmp_path, pid=os.getpid(), procStart=start, status="busy")
    found = read_registry(tmp_path, ProcessRef(1, "1"), SESSION_ID)
    assert found is not None
    assert found.signal is Signal.BUSY
    assert read_registry(tmp_path, ProcessRef(1, "1"), "another session") is None


# --- stream ---

RESULT: dict[str, Any] = {
    "type": "result",
    "subtype": "success",
    "is_error": False,
    "terminal_reason": "completed",
    "result": "All done. [DONE]",
    "session_id": SESSION_ID,
    "total_cost_usd": 0.05,
    "modelUsage": {
        "claude-opus-5-5": {"inputTokens": 10, "outputTokens": 5, "cacheReadInputTokens": 3, "costBasis": "list"},
        "claude-haiku-5-5": {"inputTokens": 1, "outputTokens": 2, "cacheCreationInputTokens": 4, "costBasis": "list"},
    },
}


def test_the_result_record_ends_the_turn(tmp_path: Path) -> None:
    [evidence] = read_stream(write_lines(tmp_path / "s.jsonl", {"type": "system"}, RESULT))
    assert (evidence.signal, evidence.detail) == (Signal.TURN_ENDED, "All done. [DONE]")
    assert evidence.data == {"cost_usd": 0.05}


@pytest.mark.parametrize(
    ("fields", "kind"),
    [
        ({"is_error": True, "terminal_reason": "api_error", "api_error_status": 529, "result": "x"}, "overloaded"),
        ({"is_error": True, "terminal_reason": "api_error", "api_error_status": 401, "result": "x"}, "authentication"),
        ({"is_error": True, "terminal_reason": "prompt_too_long", "result": "x"}, "invalid_request"),
        ({"is_error": True, "terminal_reason": "budget_exhausted", "subtype": "error_max_budget_usd"}, "budget"),
        ({"is_error": False, "subtype": "error_max_turns", "terminal_reason": "max_turns"}, "agent_error"),
        ({"is_error": True, "terminal_reason": "aborted_tools"}, "agent_exit"),
    ],
)
def test_a_result_that_says_success_may_be_a_failure(tmp_path: Path, fields: dict[str, Any], kind: str) -> None:
    [evidence] = read_stream(write_lines(tmp_path / "s.jsonl", {**RESULT, **fields}))
    assert (evidence.signal, evidence.data["failure_kind"]) == (Signal.TURN_FAILED, kind)


def test_a_retry_and_a_record_after_a_result_are_told(tmp_path: Path) -> None:
    retry = {"type": "system", "subtype": "api_retry", "attempt": 3, "max_retries": 10, "error_status": 529}
    assert [e.signal for e in read_stream(write_lines(tmp_path / "a", retry))] == [Signal.RETRYING]
    assert [e.signal for e in read_stream(write_lines(tmp_path / "b", RESULT, {"type": "system"}))] == [Signal.ACTIVE]


def test_a_denied_call_is_finished_by_its_result(tmp_path: Path) -> None:
    block = {"type": "tool_result", "tool_use_id": "toolu_1", "content": "denied", "is_error": True}
    found = read_stream(write_lines(tmp_path / "s", {"type": "user", "message": {"content": [block]}}))
    assert [(e.signal, e.data.get("tool_use_id")) for e in found] == [
        (Signal.TOOL_FINISHED, "toolu_1"),
        (Signal.ACTIVE, None),
    ]


def test_half_a_line_is_left_for_later_and_a_huge_one_is_read(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "s", {**RESULT, "result": "y" * 1_000_000})
    with path.open("a") as stream:
        stream.write('{"type": "sys')
    [evidence] = read_stream(path)
    assert len(evidence.detail) == 1_000_000


def test_no_stream_says_nothing(tmp_path: Path) -> None:
    assert read_stream(tmp_path / "none") == ()
    assert ended(tmp_path / "none") is None


@pytest.mark.parametrize(
    ("model", "usage", "cost"),
    [
        ("claude-opus-5-5", {"costBasis": "list"}, 0.05),
        ("groq/gpt-oss", {"costBasis": "unknown"}, None),
        ("claude-foo-99", {"costBasis": "unknown"}, None),
        ("claude-opus-4-8[1m]", {}, 0.05),
        ("us.anthropic.claude-sonnet-5", {}, 0.05),
        ("groq/gpt-oss", {}, None),
    ],
)
def test_the_price_of_an_unknown_model_is_not_shown(
    tmp_path: Path, model: str, usage: dict[str, Any], cost: float | None
) -> None:
    result = ended(write_lines(tmp_path / "s", {**RESULT, "modelUsage": {model: {"inputTokens": 1, **usage}}}))
    assert result is not None
    assert (result.usage.cost_usd, result.usage.input_tokens) == (cost, 1)


def test_tokens_of_all_models_are_summed(tmp_path: Path) -> None:
    result = ended(write_lines(tmp_path / "s", RESULT))
    assert result is not None
    assert result.usage == Usage(11, 7, 3, 4, 0.05, "result")


# --- transcript ---


def said(message_id: str, at: datetime, text: str, **fields: Any) -> dict[str, Any]:
    usage = {"input_tokens": 100, "output_tokens": 10, "cache_read_input_tokens": 7, "cache_creation_input_tokens": 3}
    return {
        "type": "assistant",
        "timestamp": at.isoformat().replace("+00:00", "Z"),
        "message": {"id": message_id, "content": [{"type": "text", "text": text}], "usage": usage},
        **fields,
    }


def test_a_message_of_many_blocks_counts_once_and_an_earlier_run_s_not_at_all(tmp_path: Path) -> None:
    later = NOW + timedelta(seconds=5)
    path = write_lines(
        tmp_path / "s.jsonl",
        said("m0", NOW - timedelta(hours=1), "an earlier run"),
        said("m1", later, "one"),
        "not json",
        said("m1", later, "two"),
        said("m2", later, "three"),
        {"type": "user", "timestamp": "yesterday"},
    )
    write_lines(tmp_path / "s" / "subagents" / "agent-1.jsonl", said("m3", later, "inner", isSidechain=True))
    assert usage_since(path, NOW) == Usage(300, 30, 21, 9, None, "transcript")
    assert last_text(path, NOW) == "three"


def test_the_newest_record_is_a_sign_of_life(tmp_path: Path) -> None:
    block = {"type": "tool_result", "tool_use_id": "toolu_1"}
    path = write_lines(
        tmp_path / "s.jsonl",
        {"type": "user", "timestamp": "2026-01-05T12:00:01Z", "message": {"content": [block]}},
        said("m1", NOW + timedelta(seconds=3), "x"),
        {"type": "file-history-snapshot"},
    )
    found = read_transcript(path)
    assert [(e.signal, e.at.second) for e in found] == [(Signal.TOOL_FINISHED, 1), (Signal.ACTIVE, 3)]
    assert all(e.source is Source.TRANSCRIPT for e in found)


def test_what_was_said_to_the_agent_is_told_queued_or_taken(tmp_path: Path) -> None:
    def at(second: int) -> str:
        return f"2026-01-05T12:00:{second:02d}Z"

    text = {"type": "text", "text": "in a block"}
    path = write_lines(
        tmp_path / "s.jsonl",
        {"type": "user", "timestamp": at(1), "message": {"content": "first"}},
        {"type": "user", "timestamp": at(2), "message": {"content": [{"type": "tool_result", "content": "no"}]}},
        {"type": "user", "timestamp": at(3), "isSidechain": True, "message": {"content": "a subagent's"}},
        {"type": "user", "timestamp": at(4), "isMeta": True, "message": {"content": "the client's own"}},
        {"type": "queue-operation", "operation": "enqueue", "timestamp": at(5), "content": "wait"},
        {"type": "queue-operation", "operation": "dequeue", "timestamp": at(6)},
        {"type": "attachment", "timestamp": at(7), "attachment": {"type": "queued_command", "prompt": "absorbed"}},
        {"type": "attachment", "timestamp": at(8), "attachment": {"type": "file", "prompt": "no"}},
        {"type": "user", "timestamp": at(9), "message": {"content": [text]}},
        {"type": "user", "timestamp": "yesterday", "message": {"content": "no time"}},
    )
    told = [(e.data["prompt"], e.data["queued"], e.at.second) for e in read_transcript(path) if "prompt" in e.data]
    assert told == [("first", False, 1), ("wait", True, 5), ("absorbed", False, 7), ("in a block", False, 9)]


# --- cost ---


def status(path: Path, cost: float, model: Mapping[str, str]) -> None:
    path.write_text(json.dumps({"cost": {"total_cost_usd": cost}, "model": model}))


OPUS = {"id": "claude-opus-5-5", "display_name": "Opus 5.5"}
UNKNOWN = {"id": "groq/gpt-oss", "display_name": "groq/gpt-oss"}


def test_a_resumed_run_costs_what_came_after_its_first_status(tmp_path: Path) -> None:
    assert run_cost(tmp_path) is None
    status(tmp_path / "status-first.json", 0.10, OPUS)
    status(tmp_path / "status.json", 0.25, OPUS)
    assert run_cost(tmp_path) == pytest.approx(0.15)
    assert run_cost(tmp_path, session_total=0.30) == pytest.approx(0.20)


def test_the_status_line_s_price_of_an_unknown_model_is_not_shown(tmp_path: Path) -> None:
    status(tmp_path / "status.json", 0.25, UNKNOWN)
    assert run_cost(tmp_path) is None


# --- all together ---


def trace(tmp_path: Path, mode: Mode = Mode.INTERACTIVE, transcript: Path | None = None) -> SessionTrace:
    run = a_run(cwd=tmp_path, mode=mode)
    return SessionTrace(run, AGENT, tmp_path, SESSION_ID, str(transcript) if transcript else None)


def readings(*details: str) -> Sequence[Reading]:
    return [Reading([Evidence(Source.HOOK, Signal.TURN_ENDED, NOW, detail)], ()) for detail in details]


def test_an_interactive_agent_is_seen_by_transcript_status_line_and_registry(tmp_path: Path) -> None:
    paths = ConfigPaths(tmp_path, tmp_path / ".claude.json")
    transcript = write_lines(tmp_path / "t.jsonl", said("m1", NOW, "x"))
    status(tmp_path / "status.json", 0.25, OPUS)
    enter(paths.sessions, status="busy")
    found = observe(trace(tmp_path, transcript=transcript), paths)
    assert [e.source for e in found] == [Source.TRANSCRIPT, Source.STATUS_LINE, Source.REGISTRY]
    assert found[1].data == {"cost_usd": 0.25}


def test_the_report_of_an_interactive_run(tmp_path: Path) -> None:
    paths = ConfigPaths(tmp_path, tmp_path / ".claude.json")
    transcript = write_lines(tmp_path / "t.jsonl", said("m1", NOW, "from the transcript"))
    status(tmp_path / "status.json", 0.25, OPUS)
    project = {"lastCost": 0.40, "lastSessionId": SESSION_ID}
    paths.state_file.write_text(json.dumps({"projects": {str(tmp_path): project}}))
    seen = trace(tmp_path, transcript=transcript)
    told = report(seen, readings("first", "last"), paths)
    assert (told.text, told.usage.input_tokens) == ("last", 100)
    assert told.usage.cost_usd == pytest.approx(0.40)
    assert report(seen, [], paths).text == "from the transcript"


def test_another_session_s_cost_is_not_ours(tmp_path: Path) -> None:
    paths = ConfigPaths(tmp_path, tmp_path / ".claude.json")
    status(tmp_path / "status.json", 0.25, OPUS)
    project = {"lastCost": 9.0, "lastSessionId": "another"}
    paths.state_file.write_text(json.dumps({"projects": {str(tmp_path): project}}))
    seen = trace(tmp_path, transcript=write_lines(tmp_path / "t.jsonl", said("m1", NOW, "x")))
    assert report(seen, [], paths).usage.cost_usd == pytest.approx(0.25)


def test_the_report_of_a_printing_run_is_its_result_record(tmp_path: Path) -> None:
    write_lines(tmp_path / "stream.jsonl", {"type": "system"}, RESULT)
    paths = ConfigPaths(tmp_path, tmp_path / ".claude.json")
    told = report(trace(tmp_path, Mode.PRINT), [], paths)
    assert (told.text, told.usage.cost_usd, told.usage.source) == ("All done. [DONE]", 0.05, "result")


def test_a_run_that_left_nothing_has_an_empty_report(tmp_path: Path) -> None:
    paths = ConfigPaths(tmp_path, tmp_path / ".claude.json")
    for mode in Mode:
        assert report(trace(tmp_path, mode), [], paths).usage == Usage()


def test_an_agent_with_its_own_configuration_directory_is_observed_there(tmp_path: Path) -> None:
    default = config_paths({"HOME": "/home/user"})
    assert default.sessions == Path("/home/user/.claude/sessions")
    assert launched_paths(tmp_path, default) == default
    (tmp_path / "launch.json").write_text(json.dumps({"env": {"CLAUDE_CONFIG_DIR": "/c"}}))
    assert launched_paths(tmp_path, default).state_file == Path("/c/.claude.json")


def test_run_times_are_compared_exactly(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "t.jsonl", said("m1", NOW, "x"))
    assert usage_since(path, NOW).input_tokens == 100
    assert usage_since(path, NOW + timedelta(milliseconds=1)).input_tokens == 0
    assert replace(usage_since(path, NOW), source="") == Usage(100, 10, 7, 3)
