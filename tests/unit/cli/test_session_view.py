"""What a person sees of a session's stream."""

import json

import pytest

from ccm_orchestrator.cli.views.sessions import event_json, spoken
from ccm_orchestrator.client.conversations import SessionEvent


def output(line: object) -> SessionEvent:
    return SessionEvent(type="output", id="1.1", data=line if isinstance(line, str) else json.dumps(line))


def said(*blocks: object) -> SessionEvent:
    return output({"type": "assistant", "message": {"content": list(blocks)}})


@pytest.mark.parametrize(
    ("event", "shown"),
    [
        (said({"type": "text", "text": "Hello."}), "Hello."),
        (said({"type": "text", "text": "First."}, {"type": "text", "text": "Then."}), "First.\nThen."),
        (said({"type": "tool_use", "name": "Bash", "input": {"command": "ls"}}), 'Bash {"command": "ls"}'),
        (SessionEvent(type="error", error="The agent vanished."), "The agent vanished."),
        (SessionEvent(type="status", status="held", detail="No login."), "held: No login."),
        (SessionEvent(type="status", status="queued"), "queued"),
    ],
)
def test_what_the_agent_says_and_does_is_shown(event: SessionEvent, shown: str) -> None:
    told = spoken(event)
    assert told is not None and told.plain == shown


@pytest.mark.parametrize(
    "event",
    [
        SessionEvent(type="completed"),
        output({"type": "system", "subtype": "init"}),
        output({"type": "assistant", "message": None}),
        output({"type": "assistant", "message": {"content": "text"}}),
        said("odd", {"type": "text"}, {"type": "thinking", "thinking": "…"}),
        output("[1, 2]"),
        output("no JSON"),
    ],
)
def test_everything_else_is_not(event: SessionEvent) -> None:
    assert spoken(event) is None


def test_no_control_character_of_an_agent_reaches_the_terminal() -> None:
    told = spoken(said({"type": "text", "text": "\x1b[2Jgone\x07"}))
    assert told is not None and "\x1b" not in told.plain and "\x07" not in told.plain


def test_a_line_of_json_has_what_the_event_is_about() -> None:
    assert json.loads(event_json(SessionEvent(type="session_created", session_id="s", task_id="t"))) == {
        "type": "session_created",
        "session_id": "s",
        "task_id": "t",
    }
