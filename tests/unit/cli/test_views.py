"""What people see of tasks, agents and events, from the JSON that the API gives."""

import dataclasses
import re
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console, RenderableType

from ccm_orchestrator.api.task_schemas import AgentOutput, TaskOutput
from ccm_orchestrator.cli.views.agents import agent_state, agent_table
from ccm_orchestrator.cli.views.events import LONGEST, details, event_line, event_row
from ccm_orchestrator.cli.views.task_report import task_report
from ccm_orchestrator.cli.views.tasks import task_line, task_table
from ccm_orchestrator.domain.agent import AgentState, AgentView, Dialog, Evidence, Signal, Source
from ccm_orchestrator.domain.events import EventKind
from ccm_orchestrator.domain.explanation import explain
from ccm_orchestrator.domain.result import (
    CommandRun,
    Failure,
    FailureKind,
    GitChange,
    Outcome,
    Summary,
    TaskResult,
    Usage,
)
from ccm_orchestrator.domain.run import Mode, Run, RunState
from ccm_orchestrator.domain.task import Hold, HoldReason, Task, TaskStatus
from ccm_orchestrator.engine.control import AgentStatus

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
RUN_ID = "1f3c9a2b" + "0" * 24
TASK = Task(
    task_id="3f2a9c1d" + "0" * 24,
    project="sample",
    prompt="Fix the [bold]test[/bold] \x1b[31mnow\n\nand more",
    profile="executor",
    status=TaskStatus.QUEUED,
    priority=0,
    created_at=NOW,
    updated_at=NOW,
    run_after=None,
    after=(),
    dedup_key=None,
    max_attempts=2,
    attempt=1,
    infra_attempt=0,
    time_limit_s=None,
    budget_usd=None,
    model=None,
    tags=(),
    system_id=None,
    source="api",
    fence=1,
    lease=None,
    run_id=RUN_ID,
    hold=None,
    cancel_requested_at=None,
    result=None,
)
RESULT = TaskResult(
    outcome=Outcome.SUCCEEDED,
    text="All [green]done[/green].",
    summary=Summary(
        files_read=("a.py",),
        files_written=tuple(f"file{number}.py" for number in range(30)),
        commands=(CommandRun("make test", 0), CommandRun("false", 1), CommandRun("sleep 9", None)),
        errors=("a tool failed",),
    ),
    usage=Usage(12345, 678, 90, 10, cost_usd=0.1234, source="result"),
    git=GitChange("a" * 40, "b" * 40, ("bbbbbbb Fix it",), ("a.py", "new.txt"), " a.py | 2 +-\n"),
    duration_s=75.0,
    session_id="session-1",
    transcript_path="/home/me/.claude/projects/-my-sample/session-1.jsonl",
)
RUN = Run(
    run_id=RUN_ID,
    task_id=TASK.task_id,
    fence=1,
    attempt=1,
    term=1,
    state=RunState.RUNNING,
    project="sample",
    cwd=Path("/sample"),
    profile="executor",
    driver="claude",
    mode=Mode.INTERACTIVE,
    session_id="session-1",
    resumed=False,
    created_at=NOW,
)


def shown(view: RenderableType, width: int = 100) -> str:
    console = Console(file=StringIO(), width=width, highlight=False, emoji=False)
    console.print(view)
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()


def as_json(task: Task) -> dict[str, Any]:
    return TaskOutput.of(task).model_dump(mode="json")


def test_a_finished_task_tells_everything_that_a_person_asks() -> None:
    task = dataclasses.replace(TASK, status=TaskStatus.SUCCEEDED, result=RESULT)
    page = re.sub(r" +$", "", shown(task_report(as_json(task), "/my sample")), flags=re.M)
    for words in (
        "succeeded",
        "Fix the [bold]test[/bold] now",
        "All [green]done[/green].",
        "1 min 15 s",
        "12 345 in · 678 out · 100 cached",
        "$0.1234",
        "0  make test",
        "1  false",
        "?  sleep 9",
        "file19.py",
        "… and 10 more",
        "a tool failed",
        "bbbbbbb Fix it",
        "a.py | 2 +-\nnew.txt",
        "cd '/my sample' && claude --resume session-1",
    ):
        assert words in page
    assert "\x1b" not in page
    assert "file20.py" not in page


def test_a_failed_task_says_why_and_what_to_do() -> None:
    failed = dataclasses.replace(
        RESULT, outcome=Outcome.FAILED, failure=Failure(FailureKind.AGENT_ERROR, "no such file"), git=None
    )
    task = as_json(dataclasses.replace(TASK, status=TaskStatus.FAILED, result=failed))
    page = shown(task_report(task, None))
    assert "agent_error: no such file" in page
    assert "ccm-orchestrator task retry 3f2a9c1d" in page
    assert "claude --resume" not in page, "the project is not registered any more"
    assert "(no such file)" in shown(task_line(task))


def test_a_conversation_that_was_never_kept_is_not_offered() -> None:
    """Another program than Claude Code has none, nor has an agent that ended before it said anything."""
    silent = dataclasses.replace(RESULT, transcript_path=None)
    task = dataclasses.replace(TASK, status=TaskStatus.SUCCEEDED, result=silent)
    assert "--resume" not in shown(task_report(as_json(task), "/my sample"))


def test_a_held_task_says_what_to_mend() -> None:
    hold = Hold(HoldReason.SETUP, "Claude Code was not found.")
    task = as_json(dataclasses.replace(TASK, status=TaskStatus.HELD, hold=hold))
    page = shown(task_report(task, "/sample", with_prompt=True))
    assert "setup: Claude Code was not found." in page
    assert "ccm-orchestrator task release 3f2a9c1d" in page
    assert "and more" in page and "attach" not in page, "its agent has ended"


def test_a_task_that_waits_for_another_try_says_how_the_last_one_ended() -> None:
    task = as_json(dataclasses.replace(TASK, status=TaskStatus.QUEUED))
    last = {"ended_at": NOW.isoformat(), "ending": "tmux would not create the session."}
    assert ": tmux would not create the session." in shown(task_report(task, "/sample", last))
    assert "the last try" not in shown(task_report(task, "/sample"))
    assert "not before" not in shown(task_report(task | {"run_after": "2026-01-01T00:00:00Z"}, "/sample")), "it is over"
    assert "not before" in shown(task_report(task | {"run_after": "2999-01-01T00:00:00Z"}, "/sample"))


def test_a_running_task_says_how_to_look() -> None:
    page = shown(task_report(as_json(dataclasses.replace(TASK, status=TaskStatus.RUNNING)), "/sample"))
    assert "ccm-orchestrator attach ccm-1f3c9a2b" in page and "agent permissions" not in page
    page = shown(task_report(as_json(dataclasses.replace(TASK, status=TaskStatus.WAITING)), "/sample"))
    assert "ccm-orchestrator agent permissions ccm-1f3c9a2b" in page


@pytest.mark.parametrize("status", TaskStatus)
def test_every_status_fits_in_the_list(status: TaskStatus) -> None:
    hold = Hold(HoldReason.APPROVAL, "ask") if status is TaskStatus.HELD else None
    task = as_json(dataclasses.replace(TASK, status=status, hold=hold, prompt="word " * 100))
    lines = shown(task_table({"items": [task], "next_before": task["task_id"]}), width=80).splitlines()
    assert "3f2a9c1d" in lines[1] and status.value in lines[1]
    assert len(lines) == 3, "one line a task, whatever its title"
    assert "--before 3f2a9c1d" in lines[2]


def test_an_empty_list_says_what_to_do() -> None:
    assert "task add" in shown(task_table({"items": [], "next_before": None}))
    assert "--all" in shown(agent_table([]))


@pytest.mark.parametrize("state", AgentState)
def test_every_agent_state_is_shown_with_its_evidence(state: AgentState) -> None:
    evidence = Evidence(Source.HOOK, Signal.ASKED, NOW, "permission")
    view = AgentView(state, NOW, evidence, NOW, Dialog.PERMISSION, frozenset({"toolu_1"}), background_work=True)
    agent = AgentOutput.of(AgentStatus(RUN, view, TASK, ["tmux"]), explain(RUN, view, NOW)).model_dump(mode="json")
    assert state.value in shown(agent_table([agent]))
    page = shown(agent_state(agent))
    for words in (state.value, "hook: asked permission", "1 running", "ccm-1f3c9a2b"):
        assert words in page


@pytest.mark.parametrize("kind", EventKind)
@pytest.mark.parametrize("data", [{}, {"tool_name": "Bash", "command": "a\nb", "exit_code": 3, "parameters": {"x": 1}}])
def test_every_kind_of_event_is_one_line(kind: EventKind, data: dict[str, Any]) -> None:
    event = {"seq": 1, "kind": kind.value, "at": NOW.isoformat(), "task_id": TASK.task_id, "run_id": None, "data": data}
    line = shown(event_line(event), width=300)
    assert line.count("\n") == 1 and kind.value in line and "3f2a9c1d" in line
    assert "".join(shown(event_row(event), width=300).split()) == "".join(line.split())


def test_a_long_event_goes_on_below_its_beginning_on_a_narrow_terminal() -> None:
    data = {"command": "one two three four five six seven eight nine ten"}
    event = {"seq": 1, "kind": "bash_command", "at": NOW.isoformat(), "task_id": "a" * 32, "run_id": None, "data": data}
    first, *rest = shown(event_row(event), width=70).splitlines()
    start = first.index("one")
    assert rest and all(line[:start].strip() == "" and line[start] != " " for line in rest)


def test_events_say_what_matters() -> None:
    assert details("bash_command", {"command": "make\n test", "working_dir": "/x"}) == "make test"
    asked = {"request_id": "perm-1", "status": "open", "tool_name": "Bash", "subject": "date"}
    assert details("permission.requested", asked) == "Bash date perm-1"
    assert details("hook", {"hook_event_name": "Stop", "reason": "other"}) == "Stop reason=other"
    assert details("bash_output", {"exit_code": 2, "stderr": "boom"}) == "exit 2: boom"
    usage = {"input_tokens": 3, "output_tokens": 4, "cost_usd": 0.5, "source": "transcript"}
    assert details("task.failed", {"usage": usage, "reason": "boom"}) == "reason=boom tokens=7 cost_usd=0.5"
    assert details("task.queued", {"usage": {"input_tokens": 0, "cost_usd": None}, "attempt": 1}) == "attempt=1"
    assert (
        details("tool_use_start", {"tool_name": "Read", "parameters": {"file_path": "a.py"}}) == "Read file_path=a.py"
    )
    assert len(details("agent_output", {"text": "long " * 500})) == LONGEST
