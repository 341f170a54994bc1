"""What agents ask, and rules that answer it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from ccm_orchestrator.cli.views.plain import ago, one_line, plain, text
from ccm_orchestrator.cli.views.tables import facts, listing
from ccm_orchestrator.cli.views.tasks import short_id

INPUT_LENGTH = 300
DECISION_STYLE = {"deny": "red", "ask": "yellow", "allow": "green"}


def permission_line(request: dict[str, Any]) -> Text:
    line = text(f"{request['dialog']} {request['tool_name']}: {request['status']}")
    if (verdict := request["verdict"]) is not None:
        line.append_text(text(f", {verdict['decision']} by {verdict['decided_by']}"))
        if verdict["scope"] != "once":
            line.append_text(text(f", and so the same from now on (rule {', '.join(verdict['rule_ids'])})"))
    return line.append(".")


def permission_list(requests: list[dict[str, Any]]) -> RenderableType:
    if not requests:
        return text("No agent asks anything.")
    return Group(*(_permission(request) for request in requests))


def _permission(request: dict[str, Any]) -> RenderableType:
    agent = f"ccm-{request['run_id'][:8]}"
    line = text(f"{request['dialog']} {request['tool_name']}", "bold")
    if request["context"]["project"]:
        line.append_text(text(f"  in {request['context']['project']}"))
    table = facts()
    table.add_row(text(agent), line.append_text(text(f"  {ago(request['created_at'])}", "dim")))
    for asked in _asked(request):
        table.add_row("", text(asked if len(asked) <= INPUT_LENGTH else asked[: INPUT_LENGTH - 1] + "…"))
    if request["status"] == "open":
        answer = f" --answer {_answer_form(request)}" if request["dialog"] == "question" else ""
        table.add_row("", text(f"ccm-orchestrator agent approve {request['request_id']}{answer}", "dim"))
    else:
        table.add_row("", permission_line(request))
    return table


def _answer_form(request: dict[str, Any]) -> str:
    questions = request["tool_input"].get("questions")
    return "ANSWER" if isinstance(questions, list) and len(questions) == 1 else "QUESTION=ANSWER"


def _asked(request: dict[str, Any]) -> Iterator[str]:
    """The questions with their options, one a line; of anything else the whole input."""
    questions = request["tool_input"].get("questions") if request["dialog"] == "question" else None
    if not isinstance(questions, list) or not all(isinstance(each, dict) for each in questions):
        yield one_line(json.dumps(request["tool_input"], ensure_ascii=False))
        return
    for each in questions:
        options = each.get("options")
        labels = [str(option.get("label", "")) for option in options if isinstance(option, dict)] if options else []
        yield plain(" ".join([str(each.get("question", "")), *(f"[{label}]" for label in labels)]))


def rule_line(rule: dict[str, Any], begin: str = "Rule") -> Text:
    return text(f"{begin} {rule['rule_id']}: {rule['decision']} {_conditions(rule)}.")


def rule_table(rules: list[dict[str, Any]]) -> RenderableType:
    if not rules:
        return text("There is no rule: people are asked everything.")
    table = listing("rule", "decision", "what", "by", elastic="what", spare=("by",))
    for rule in rules:
        decision = text(rule["decision"], DECISION_STYLE.get(rule["decision"], ""))
        table.add_row(text(rule["rule_id"]), decision, text(_conditions(rule)), text(rule["created_by"]))
    return table


def _conditions(rule: dict[str, Any]) -> str:
    """As a person would write them."""
    shown = {name: rule[name] for name in ("tool", "path", "command", "project", "profile") if rule[name]}
    words = [f"{name} {value!r}" for name, value in shown.items()]
    words += ["with this very input"] if rule["input_digest"] else []
    words += [f"for the rest of task {short_id(rule['task_id'])}"] if rule["task_id"] else []
    words += [f"for {rule['owner']}"] if rule["owner"] else []
    return ", ".join(words)
