"""Hook records that are no payload, or an unusual one."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from ccm_orchestrator.adapters.claude.hooks import read_hook
from ccm_orchestrator.domain.agent import Signal
from ccm_orchestrator.domain.events import BusEvent, EventKind, HookRecord
from ccm_orchestrator.ports.agents import Reading

AT = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)


def read(event: str, payload: dict[str, Any] | bytes) -> Reading:
    raw = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    return read_hook(HookRecord("run/1", "run", event, AT, raw), "task")


@pytest.mark.parametrize(
    "raw", [b"", b"{", b"[1]", b"null", b"\0\0", b"\xff\xfe\xff", b'{"a": "\0"}', b"[" * 100_000, b'{"a":1}x'], ids=repr
)
def test_what_is_no_json_object_is_kept_as_malformed(raw: bytes) -> None:
    reading = read("PreToolUse", raw)
    assert reading.evidence == ()
    [event] = reading.events
    assert (event.kind, event.data["hook_event_name"], event.data["size"]) == (
        EventKind.HOOK_MALFORMED,
        "PreToolUse",
        len(raw),
    )
    assert json.dumps(event.data).encode()


@pytest.mark.parametrize(
    "event", ["PreToolUse", "PostToolUse", "PostToolUseFailure", "Stop", "StopFailure", "Notification", "NeverHeardOf"]
)
@pytest.mark.parametrize(
    "payload",
    [
        {},
        {"tool_name": 7, "tool_input": "x", "tool_use_id": None, "tool_response": 3, "error": [], "message": {}},
        {"tool_name": "Write", "tool_input": {"content": 1}, "tool_response": {"structuredPatch": [{"lines": 3}]}},
        {"tool_name": "Edit", "tool_input": None, "tool_response": {"structuredPatch": "x", "originalFile": 1}},
        {"tool_name": "Bash", "tool_input": {"command": ["x"]}, "tool_response": "text", "duration_ms": "soon"},
        {"background_tasks": "x", "session_crons": {}, "last_assistant_message": 5},
    ],
    ids=str,
)
def test_missing_and_odd_fields_are_no_reason_to_fail(event: str, payload: dict[str, Any]) -> None:
    assert len(read(event, payload).events) >= 1


def test_published_data_is_small_and_fit_for_every_encoding() -> None:
    text = "x" * 1_000_000 + "\\ud800"
    raw = b'{"tool_name": "Write", "tool_input": {"file_path": "a\\ud800", "content": "%s"}}' % text.encode()
    reading = read("PreToolUse", raw)
    shown = json.dumps([dict(event.data) for event in reading.events], ensure_ascii=False).encode()
    assert len(shown) < 5_000


def test_a_last_message_with_a_lone_surrogate_can_be_stored() -> None:
    [ended] = read("Stop", b'{"last_assistant_message": "half \\ud83d a smile"}').evidence
    assert ended.detail.encode() == b"half ? a smile"


def test_the_end_of_a_turn_carries_the_whole_last_message() -> None:
    message = "long " * 10_000 + "[DONE]"
    [ended] = read("Stop", {"last_assistant_message": message, "background_tasks": [], "session_crons": []}).evidence
    assert (ended.signal, ended.detail) == (Signal.TURN_ENDED, message)


def test_a_scheduled_wake_up_keeps_a_turn_open() -> None:
    [paused] = read(
        "Stop", {"last_assistant_message": "later", "background_tasks": [], "session_crons": ["x"]}
    ).evidence
    assert paused.signal is Signal.TURN_PAUSED


def test_an_edit_tells_lines_and_the_hashes_of_both_versions() -> None:
    payload = {
        "tool_name": "Edit",
        "tool_input": {"file_path": "/p/a.txt", "old_string": "b", "new_string": "B\nc", "replace_all": False},
        "tool_response": {
            "originalFile": "a\nb\n",
            "structuredPatch": [{"lines": [" a", "-b", "+B", "+c"]}],
            "oldString": "b",
            "newString": "B\nc",
        },
        "tool_use_id": "toolu_1",
    }
    event = _one(read("PostToolUse", payload), EventKind.FILE_EDIT)
    assert (event.data["lines_added"], event.data["lines_removed"], event.data["lines_changed"]) == (2, 1, 2)
    written = read(
        "PostToolUse", {"tool_name": "Write", "tool_input": {"file_path": "/p/a.txt", "content": "a\nB\nc\n"}}
    )
    assert event.data["new_hash"] == _one(written, EventKind.FILE_WRITE).data["new_hash"]
    assert event.data["old_hash"] != event.data["new_hash"]


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        ({"tool_response": {"stdout": "ok", "stderr": "", "interrupted": False}}, 0),
        ({"tool_response": {"stdout": "", "stderr": "", "interrupted": True}}, None),
        ({"tool_response": {"stdout": "", "stderr": "", "backgroundTaskId": "b1"}}, None),
    ],
)
def test_a_command_without_an_end_has_no_exit_code(payload: dict[str, Any], expected: int | None) -> None:
    given = {"tool_name": "Bash", "tool_input": {"command": "make"}, "tool_use_id": "t", **payload}
    event = _one(read("PostToolUse", given), EventKind.BASH_OUTPUT)
    assert event.data.get("exit_code") == expected


def test_a_failed_command_tells_its_code_and_output() -> None:
    given = {"tool_name": "Bash", "tool_input": {"command": "make"}, "error": "Exit code 127\nmake: not found"}
    event = _one(read("PostToolUseFailure", given), EventKind.BASH_OUTPUT)
    assert (event.data["exit_code"], event.data["stderr"], event.data["command"]) == (127, "make: not found", "make")


def _one(reading: Reading, kind: EventKind) -> BusEvent:
    [event] = [event for event in reading.events if event.kind is kind]
    return event
