"""Rules that answer by themselves: one order, whatever the rules."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from posixpath import normpath
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccm_orchestrator.domain.rules import (
    ApprovalRule,
    Asking,
    RuleDecision,
    asked_paths,
    judge,
    ordered,
    problem_with_rule,
    same_again,
)

ALLOW, ASK, DENY = RuleDecision.ALLOW, RuleDecision.ASK, RuleDecision.DENY
CWD = "/srv/shop"


def rule(decision: RuleDecision = ALLOW, rule_id: str = "rule-1", **conditions: Any) -> ApprovalRule:
    return ApprovalRule(rule_id, decision, **conditions)


def asking(tool: str = "Bash", dialog: str = "permission", **tool_input: object) -> Asking:
    paths = asked_paths(tool_input, CWD)
    real = [normpath(path) for path in paths]
    return Asking(dialog, tool, tool_input, "shop", "executor", "task-1", "ada", [CWD], paths, real)


def said(*rules: ApprovalRule, to: Asking) -> RuleDecision | None:
    found = judge(rules, to)
    return found.decision if found else None


@pytest.mark.parametrize(
    ("conditions", "asked", "allowed"),
    [
        ({"tool": "Bash"}, {"command": "rm -rf / $(x)"}, True),
        ({"tool": "bash"}, {"command": "ls"}, False),
        ({"tool": "*"}, {"tool": "mcp__github__create_issue"}, True),
        ({"tool": "mcp__github__*"}, {"tool": "mcp__gitlab__x"}, False),
        ({"command": "npm test *"}, {"command": " npm test -- --ci 2>&1 "}, True),
        ({"command": "npm test *"}, {"command": "npm test; rm -rf /"}, False),
        ({"command": "npm test *"}, {"command": "npm test $(rm -rf /)"}, False),
        ({"command": "npm test > log"}, {"command": "npm test > log"}, True),
        ({"command": "npm test > log"}, {"command": "npm test > log2"}, False),
        ({"command": "npm *"}, {"tool": "Edit", "file_path": "/srv/shop/a"}, False),
        ({"path": "**"}, {"tool": "Edit", "file_path": "/srv/shop/src/a.py"}, True),
        ({"path": "./src/*.py"}, {"tool": "Edit", "file_path": "src/a.py"}, True),
        ({"path": "**"}, {"tool": "Edit", "file_path": "/srv/shopping/a.py"}, False),
        ({"path": "**"}, {"command": "ls"}, False),
        ({"path": "/srv/**"}, {"tool": "Read", "file_path": "/srv/x"}, True),
        ({"tool": "Edit", "path": "**"}, {"tool": "Write", "file_path": "/srv/shop/a"}, False),
        ({"tool": "Bash", "project": "shop", "profile": "executor", "task_id": "task-1", "owner": "ada"}, {}, True),
        ({"tool": "Bash", "project": "blog"}, {}, False),
        ({"tool": "Bash", "profile": "planning"}, {}, False),
        ({"tool": "Bash", "task_id": "task-2"}, {}, False),
        ({"tool": "Bash", "owner": "bob"}, {}, False),
    ],
)
def test_what_a_rule_allows(conditions: dict[str, Any], asked: dict[str, str], allowed: bool) -> None:
    assert (said(rule(**conditions), to=asking(**asked)) is ALLOW) is allowed
    assert problem_with_rule(rule(**conditions)) is None


@pytest.mark.parametrize(
    ("conditions", "asked"),
    [
        ({"command": "rm *"}, {"command": "cd / && sudo rm -rf x"}),
        ({"command": "git push *"}, {"command": "true $(git  push origin)"}),
        ({"command": "git push *"}, {"command": "sh -c 'git push'"}),
        ({"path": ".env"}, {"tool": "Edit", "file_path": "/srv/shop/src/../.env"}),
    ],
)
@pytest.mark.parametrize("decision", [DENY, ASK])
def test_denying_and_asking_look_at_every_part(
    conditions: dict[str, Any], asked: dict[str, str], decision: RuleDecision
) -> None:
    assert said(rule(tool="*"), rule(decision, **conditions), to=asking(**asked)) is decision


def test_a_link_is_what_it_leads_to() -> None:
    link = replace(asking("Edit", file_path="notes/hosts"), real_paths=["/etc/hosts"])
    assert said(rule(path="**"), to=link) is None
    assert said(rule(path="/etc/*"), to=link) is ALLOW
    assert said(rule(DENY, path="/etc/*"), to=link) is DENY
    assert said(rule(DENY, path="notes/*"), to=link) is DENY


def test_the_parts_of_a_command_may_be_allowed_by_several_rules() -> None:
    rules = (rule(rule_id="one", command="git diff *"), rule(rule_id="two", command="head *"))
    found = judge(rules, asking(command="git diff | head -3; git diff --stat"))
    assert found is not None and [each.rule_id for each in found.rules] == ["one", "two"]
    assert said(*rules, to=asking(command="git diff | tail -3")) is None


@pytest.mark.parametrize("dialog", ["question", "elicitation"])
def test_a_question_is_never_allowed_and_only_denied_by_its_name(dialog: str) -> None:
    question = asking("AskUserQuestion", dialog, questions=[])
    assert said(rule(tool="AskUserQuestion"), rule(DENY, tool="*"), to=question) is None
    assert said(rule(DENY, tool="AskUserQuestion"), to=question) is DENY


def test_a_plan_is_answered_only_by_its_name() -> None:
    plan = asking("ExitPlanMode", "plan", plan="1. do it")
    assert said(rule(tool="*"), rule(tool="Exit*"), to=plan) is None
    assert said(rule(tool="ExitPlanMode"), to=plan) is ALLOW


def test_the_rules_of_the_task_come_first_then_stored_ones_then_those_of_the_settings() -> None:
    rules = [rule(rule_id="old", tool="*"), rule(rule_id="own", tool="*", task_id="task-1"), rule(rule_id="file")]
    found = judge(ordered(rules), asking())
    assert found is not None and found.rules[0].rule_id == "own"
    assert [each.rule_id for each in ordered(rules)] == ["own", "old", "file"]


@pytest.mark.parametrize(
    ("conditions", "words"),
    [
        ({}, "neither a tool nor a path nor a command"),
        ({"project": "shop"}, "neither a tool"),
        ({"tool": " "}, "`tool`"),
        ({"command": "a\nb"}, None),
        ({"command": "a\rb"}, "`command`"),
        ({"command": "x" * 1001}, "at most 1000"),
        ({"path": "~/x"}, "`path`"),
        ({"path": "a/../../b"}, "`path`"),
    ],
)
def test_a_rule_that_cannot_be_is_refused_in_a_sentence(conditions: dict[str, Any], words: str | None) -> None:
    problem = problem_with_rule(rule(**conditions))
    assert (problem is None) if words is None else (problem is not None and words in problem)


commands = st.lists(
    st.sampled_from(["npm test", "npm run lint", "git push", "ls *", "&&", ";", "|", "$(ls)", "> x", "'", "#"]),
    min_size=1,
    max_size=5,
).map(" ".join)
files = st.sampled_from(["/srv/shop/a.py", "/srv/shop/src/*.py", "/etc/passwd", "src/../b", "/srv/shop/.env"])
requests = st.one_of(
    commands.map(lambda command: asking(command=command)),
    st.tuples(st.sampled_from(["Edit", "Write", "Read"]), files).map(lambda two: asking(two[0], file_path=two[1])),
    st.sampled_from(["Skill", "WebFetch"]).map(lambda tool: asking(tool, url="https://example.com", what=1)),
    st.just(asking("ExitPlanMode", "plan", plan="x")),
    st.just(asking("AskUserQuestion", "question", questions=[])),
)


def conditions(values: Mapping[str, list[str]]) -> st.SearchStrategy[dict[str, str]]:
    optional = {name: st.sampled_from(known) for name, known in values.items()}
    return st.fixed_dictionaries({}, optional=optional)


rules = st.lists(
    st.builds(
        lambda decision, more: ApprovalRule("", decision, **more),
        st.sampled_from(list(RuleDecision)),
        conditions(
            {
                "tool": ["*", "Bash", "Edit", "ExitPlanMode", "AskUserQuestion", "Skill"],
                "command": ["*", "npm *", "git push", "ls *", "npm test"],
                "path": ["**", "src/*", "/etc/**", ".env"],
                "project": ["shop", "blog"],
                "task_id": ["task-1", "task-2"],
                "owner": ["ada", "bob"],
            }
        ),
    ).filter(lambda each: problem_with_rule(each) is None),
    max_size=6,
).map(lambda found: [replace(each, rule_id=f"rule-{number}") for number, each in enumerate(found)])


@given(rules, requests, st.randoms())
def test_the_order_of_the_rules_changes_who_is_named_and_never_what_is_said(
    known: list[ApprovalRule], request: Asking, chance: object
) -> None:
    shuffled = list(known)
    chance.shuffle(shuffled)  # type: ignore[attr-defined]
    assert said(*shuffled, to=request) is said(*known, to=request)


@given(rules, rules, requests)
def test_more_rules_of_a_kind_never_weaken_what_a_stronger_kind_says(
    known: list[ApprovalRule], more: list[ApprovalRule], request: Asking
) -> None:
    ranks: list[RuleDecision | None] = [DENY, ASK, ALLOW, None]
    before, after = said(*known, to=request), said(*known, *more, to=request)
    assert ranks.index(after) <= ranks.index(before)
    without = said(*known, *(each for each in more if each.decision is ALLOW), to=request)
    assert without is before or (before is None and without is ALLOW)


@given(rules, requests)
def test_whoever_is_named_says_what_was_said_and_belongs_to_the_request(
    known: list[ApprovalRule], request: Asking
) -> None:
    found = judge(known, request)
    if found is None:
        return
    assert found.rules
    for each in found.rules:
        assert each.decision is found.decision
        assert each.project in (None, "shop") and each.owner in (None, "ada") and each.task_id in (None, "task-1")
    assert request.dialog != "question" or found.decision is not ALLOW


@given(requests, requests)
def test_the_same_again_is_this_and_nothing_that_is_asked_differently(this: Asking, other: Asking) -> None:
    made = rule(ALLOW, **same_again(this))
    assert problem_with_rule(made) is None
    assert said(made, to=this) is (None if this.dialog == "question" else ALLOW)
    if said(made, to=other) is ALLOW and other.dialog == "permission":
        assert other.tool_name == this.tool_name
        assert other.tool_input == this.tool_input or other.real_paths
