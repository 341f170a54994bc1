"""One task, whole: what `task show` prints."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from rich.console import Group, RenderableType
from rich.constrain import Constrain
from rich.rule import Rule
from rich.text import Text

from ccm_orchestrator.cli.views.plain import ago, dollars, duration, number, text
from ccm_orchestrator.cli.views.tables import facts
from ccm_orchestrator.cli.views.tasks import short_id, status_text

SHOWN_PATHS = 20
RULE_WIDTH = 80


def task_report(
    task: dict[str, Any],
    project_path: str | None,
    last_try: dict[str, Any] | None = None,
    with_prompt: bool = False,
) -> RenderableType:
    """`task` is the API's whole task; `project_path` None: the project is not registered any more; `last_try` is the
    run that a queued task has behind it."""
    parts: list[RenderableType] = [_heading(task), _facts(task)]
    if with_prompt:
        parts += [_rule("prompt"), text(task["prompt"])]
    if task["hold"]:
        parts += [_rule("held"), *_hold(task)]
    if last_try:
        parts += [_rule("the last try"), text(f"{ago(last_try['ended_at'])}: {last_try['ending']}", "yellow")]
    if task["result"]:
        parts += _result(task["result"])
    parts += [_rule("go on"), *_ways_on(task, project_path)]
    return Group(*parts)


def _rule(title: str) -> RenderableType:
    rule = Rule(text(title, "dim"), align="left", style="dim", characters="─")
    return Constrain(rule, RULE_WIDTH)


def _heading(task: dict[str, Any]) -> RenderableType:
    return (
        text(task["task_id"], "bold")
        .append("  ")
        .append_text(status_text(task))
        .append("\n")
        .append_text(text(task["title"], "bold"))
    )


def _facts(task: dict[str, Any]) -> RenderableType:
    table = facts()
    table.add_row("project", text(f"{task['project']} · profile {task['profile']}"))
    table.add_row("created", text(f"{ago(task['created_at'])} · by {task['source']} · priority {task['priority']}"))
    table.add_row("attempt", text(f"{task['attempt']} of {task['max_attempts']}{_claimed(task)}"))
    for name, value in _limits(task):
        table.add_row(name, text(value))
    return Group("", table, "")


def _claimed(task: dict[str, Any]) -> str:
    agent = f" · agent {task['agent']}" if task["agent"] else ""
    return f"{agent} · on {task['lease']['system_id']}" if task["lease"] else agent


def _limits(task: dict[str, Any]) -> Iterator[tuple[str, str]]:
    if (
        task["run_after"]
        and task["status"] == "queued"
        and datetime.fromisoformat(task["run_after"]) > datetime.now(UTC)
    ):
        yield "not before", f"{ago(task['run_after'])} ({task['run_after']})"
    if task["after"]:
        yield "after", ", ".join(task["after"])
    if task["model"]:
        yield "model", task["model"]
    if task["time_limit_s"]:
        yield "time limit", duration(task["time_limit_s"])
    if task["budget_usd"]:
        yield "budget", dollars(task["budget_usd"])
    if task["labels"]:
        yield "labels", ", ".join(task["labels"])
    if task["tags"]:
        yield "tags", ", ".join(task["tags"])


def _hold(task: dict[str, Any]) -> Iterator[RenderableType]:
    hold = task["hold"]
    yield text(f"{hold['reason']}: {hold['detail']}", "yellow")
    command = f"ccm-orchestrator task release {short_id(task['task_id'])}"
    if hold["until"]:
        yield text(f"Tried again {ago(hold['until'])}, or at once with: {command}")
    else:
        yield text(f"Mend it, then: {command}")


def _result(result: dict[str, Any]) -> list[RenderableType]:
    parts: list[RenderableType] = [_rule("result")]
    if result["failure"]:
        parts.append(text(f"{result['failure']['kind']}: {result['failure']['message']}", "red"))
    if result["text"]:
        parts.append(text(result["text"]))
    parts += ["", _consumption(result), ""]
    parts += _doings(result["summary"])
    if result["git"]:
        parts += _changes(result["git"])
    return parts


def _consumption(result: dict[str, Any]) -> RenderableType:
    usage = result["usage"]
    tokens = f"{number(usage['input_tokens'])} in · {number(usage['output_tokens'])} out"
    cached = usage["cache_read_tokens"] + usage["cache_creation_tokens"]
    table = facts()
    table.add_row("duration", duration(result["duration_s"]))
    table.add_row("tokens", f"{tokens} · {number(cached)} cached" if cached else tokens)
    table.add_row("cost", dollars(usage["cost_usd"]))
    return table


def _doings(summary: dict[str, Any]) -> Iterator[RenderableType]:
    if summary["commands"]:
        yield _rule("commands")
        for run in summary["commands"]:
            ended = "?" if run["exit_code"] is None else str(run["exit_code"])
            yield text(f"{ended:>4}  ", "dim" if ended in "0?" else "red").append_text(text(run["command"]))
    for title, paths in (("files written", summary["files_written"]), ("files read", summary["files_read"])):
        if paths:
            yield _rule(title)
            yield _paths(paths)
    if summary["errors"]:
        yield _rule("errors")
        yield from (text(error, "red") for error in summary["errors"])


def _paths(paths: list[str]) -> Text:
    shown = "\n".join(paths[:SHOWN_PATHS])
    more = len(paths) - SHOWN_PATHS
    return text(f"{shown}\n… and {more} more" if more > 0 else shown)


def _changes(git: dict[str, Any]) -> Iterator[RenderableType]:
    base, head = git["base_commit"][:9], git["head_commit"][:9]
    yield _rule(f"git {base}..{head}" if base != head else f"git, nothing committed since {base}")
    yield from (text(commit, "green") for commit in git["commits"])
    yield text(git["diff_stat"].rstrip() or "no change")
    uncounted = [path for path in git["files_changed"] if path not in git["diff_stat"]]
    if uncounted:
        yield _paths(uncounted)


def _ways_on(task: dict[str, Any], project_path: str | None) -> Iterator[RenderableType]:
    ended = task["status"] in ("succeeded", "failed", "cancelled")
    if task["agent"] and task["status"] in ("claimed", "running", "waiting", "orphaned"):
        yield text(f"ccm-orchestrator attach {task['agent']}")
    if task["status"] == "waiting":
        yield text(f"ccm-orchestrator agent permissions {task['agent']}")
    result = task["result"] if ended else None
    if result and result["session_id"] and result["transcript_path"] and project_path:  # else nothing can be resumed
        yield text(f"cd {shlex.quote(project_path)} && claude --resume {result['session_id']}")
    if task["status"] in ("failed", "cancelled"):
        yield text(f"ccm-orchestrator task retry {short_id(task['task_id'])}")
    yield text(f"ccm-orchestrator logs {short_id(task['task_id'])}")
