"""What a permission hook asks, and its answers."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from ccm_orchestrator.adapters.claude.permissions import permission_answer, read_permission
from ccm_orchestrator.domain.agent import Dialog
from ccm_orchestrator.domain.dialogue import Decision, PermissionRequest, PermissionStatus, Verdict


def request(tool: str, given: dict[str, Any]) -> PermissionRequest:
    now = datetime(2026, 1, 5, tzinfo=UTC)
    return PermissionRequest("p", "r", "t", "permission", tool, given, (), PermissionStatus.OPEN, now)


def decision(tool: str, given: dict[str, Any], verdict: Verdict) -> Any:
    answer: Any = permission_answer(request(tool, given), verdict)
    assert answer["hookSpecificOutput"]["hookEventName"] == "PermissionRequest"
    return answer["hookSpecificOutput"]["decision"]


def test_a_tool_is_allowed_as_asked_or_with_another_input() -> None:
    assert decision("Bash", {"command": "x"}, Verdict(Decision.ALLOW, "anna")) == {"behavior": "allow"}
    changed = Verdict(Decision.ALLOW, "anna", updated_input={"command": "y"})
    assert decision("Bash", {"command": "x"}, changed) == {"behavior": "allow", "updatedInput": {"command": "y"}}


def test_a_denial_says_why_and_by_whom() -> None:
    assert decision("Bash", {}, Verdict(Decision.DENY, "anna", "not today"))["message"] == "not today"
    assert decision("Bash", {}, Verdict(Decision.DENY, "anna")) == {"behavior": "deny", "message": "Denied by anna."}


def test_a_plan_is_allowed_with_its_own_input() -> None:
    plan = {"plan": "# The plan"}
    assert decision("ExitPlanMode", plan, Verdict(Decision.ALLOW, "anna"))["updatedInput"] == plan


def test_the_answers_of_a_question_travel_in_its_input() -> None:
    answered = {"questions": [], "answers": {"Which?": "Blue"}}
    verdict = Verdict(Decision.ALLOW, "anna", updated_input=answered)
    assert decision("AskUserQuestion", {"questions": []}, verdict)["updatedInput"] == answered


def test_a_form_is_accepted_with_its_fields_or_declined() -> None:
    payload = {"hook_event_name": "Elicitation", "mcp_server_name": "elicit", "message": "Your name?", "mode": "form"}
    asked = read_permission(payload | {"requested_schema": {"properties": {}}})
    assert (asked.dialog, asked.tool_name) == (Dialog.ELICITATION, "mcp__elicit__elicitation")
    assert set(asked.tool_input) == {"message", "mode", "requested_schema"}
    form = replace(request(asked.tool_name, {}), dialog="elicitation")
    filled = Verdict(Decision.ALLOW, "anna", updated_input={"content": {"name": "Ada"}})
    said = [permission_answer(form, verdict)["hookSpecificOutput"] for verdict in (filled, Verdict(Decision.DENY, "x"))]
    assert said == [
        {"hookEventName": "Elicitation", "action": "accept", "content": {"name": "Ada"}},
        {"hookEventName": "Elicitation", "action": "decline"},
    ]


@pytest.mark.parametrize(
    "payload",
    [{}, {"hook_event_name": "Stop"}, {"hook_event_name": "PermissionRequest"}, {"tool_name": "Bash"}],
    ids=str,
)
def test_what_asks_no_permission_is_refused(payload: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="expected"):
        read_permission(payload)
