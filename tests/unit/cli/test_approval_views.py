"""What agents ask and the rules that answer it, for the eyes of a person."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from rich.console import Console, RenderableType

from ccm_orchestrator.api.approval_schemas import ApprovalRuleOutput, PermissionOutput
from ccm_orchestrator.cli.commands.permissions import question_and_answer
from ccm_orchestrator.cli.views.approvals import permission_line, permission_list, rule_line, rule_table
from ccm_orchestrator.cli.views.projects import trust_report
from ccm_orchestrator.domain.dialogue import (
    AnswerScope,
    AskingContext,
    Decision,
    PermissionRequest,
    PermissionStatus,
    Verdict,
)
from ccm_orchestrator.domain.rules import ApprovalRule, RuleDecision
from ccm_orchestrator.errors import InputError

NOW = datetime(2026, 1, 5, tzinfo=UTC)
ASKED = PermissionRequest(
    request_id="perm-" + "0" * 24,
    run_id="1f3c9a2b" + "0" * 24,
    task_id="3f2a9c1d" + "0" * 24,
    dialog="permission",
    tool_name="Bash",
    tool_input={"command": "rm -rf /\x1b[2J" + "x" * 1000},
    suggestions=(),
    status=PermissionStatus.OPEN,
    created_at=NOW,
    context=AskingContext(project="shop"),
)


def as_json(request: PermissionRequest) -> dict[str, Any]:
    return PermissionOutput.of(request).model_dump(mode="json")


def shown(view: RenderableType) -> str:
    console = Console(width=500, highlight=False, emoji=False)
    with console.capture() as captured:
        console.print(view)
    return captured.get()


def test_permissions_say_how_to_answer() -> None:
    page = shown(permission_list([as_json(ASKED)]))
    assert "rm -rf /" in page and "\x1b" not in page and "…" in page
    assert f"agent approve {ASKED.request_id}" in page and "ccm-1f3c9a2b" in page and "in shop" in page
    decided = replace(ASKED, status=PermissionStatus.DECIDED, verdict=Verdict(Decision.DENY, "cli:me"))
    assert "deny by cli:me." in shown(permission_list([as_json(decided)]))
    question = {"question": "Which colour?", "options": []}
    asked = replace(ASKED, dialog="question", tool_input={"questions": [question]})
    assert "--answer ANSWER" in shown(permission_list([as_json(asked)]))
    asked = replace(asked, tool_input={"questions": [question, question]})
    assert "--answer QUESTION=ANSWER" in shown(permission_list([as_json(asked)]))
    assert "No agent asks anything" in shown(permission_list([]))


def test_nothing_that_is_to_be_approved_is_hidden() -> None:
    hidden = "rm /etc/pass\u200bwd \u202e\U000e0041"
    asked = replace(ASKED, tool_input={"command": hidden})
    assert r"rm /etc/pass\u200bwd \u202e\U000e0041" in shown(permission_list([as_json(asked)]))
    finding = {"file": "a\u200b.json", "directory": "/srv", "approved": False, "effects": [f"runs on Stop: {hidden}"]}
    page = shown(trust_report({"path": "/srv", "findings": [finding], "fingerprint": "f"}))
    assert r"a\u200b.json" in page and r"pass\u200bwd \u202e\U000e0041" in page


def test_an_answer_that_made_a_rule_names_it() -> None:
    verdict = Verdict(Decision.ALLOW, "ada", scope=AnswerScope.TASK, rule_ids=("rule-1",))
    decided = replace(ASKED, status=PermissionStatus.DECIDED, verdict=verdict)
    assert "allow by ada, and so the same from now on (rule rule-1)." in shown(permission_line(as_json(decided)))


def test_questions_are_shown_with_their_options() -> None:
    questions = [
        {"question": "Which one?", "options": [{"label": "SQLite"}, {"label": "\x1b[2J"}]},
        {"question": "Why?"},
    ]
    asked = replace(ASKED, dialog="question", tool_name="AskUserQuestion", tool_input={"questions": questions})
    page = shown(permission_list([as_json(asked)]))
    assert "Which one? [SQLite]" in page and "Why?" in page and "\x1b" not in page
    assert "--answer QUESTION=ANSWER" in page
    for odd in ("text", [1], [{"options": "x"}], [{"options": [1]}]):
        assert "question" in shown(permission_list([as_json(replace(asked, tool_input={"questions": odd}))]))


def test_rules_are_one_line_each() -> None:
    rule = ApprovalRule(
        "rule-1", RuleDecision.DENY, command="git push *", task_id=ASKED.task_id, owner="ada", input_digest="0" * 64
    )
    listed = ApprovalRuleOutput.of(rule).model_dump(mode="json")
    for view in (rule_line(listed), rule_table([listed])):
        page = shown(view)
        for words in ("rule-1", "deny", "command 'git push *'", "task 3f2a9c1d", "for ada", "this very input"):
            assert words in page
    assert "people are asked everything" in shown(rule_table([]))


def test_the_answer_to_the_one_question_that_is_asked_needs_no_question() -> None:
    assert question_and_answer("Blue", ["Which colour?"]) == ("Which colour?", "Blue")
    assert question_and_answer("Which colour?=Blue", ["Which colour?"]) == ("Which colour?", "Blue")
    assert question_and_answer("Is a=b?=x=y", ["Is a=b?", "Why?"]) == ("Is a=b?", "x=y")
    with pytest.raises(InputError, match="QUESTION=ANSWER, got: 'Blue'"):
        question_and_answer("Blue", ["Which colour?", "Why?"])
