"""Nothing that comes from elsewhere can speak to the terminal of a person who lists or shows it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console, RenderableType

from ccm_orchestrator.cli import questions
from ccm_orchestrator.cli.exits import Exit
from ccm_orchestrator.cli.session import Session, print_json
from ccm_orchestrator.cli.views.events import event_line, event_row
from ccm_orchestrator.cli.views.status import status_report
from ccm_orchestrator.cli.views.task_report import task_report
from tests.command_line import CalledHere, CommandLine, command_line

HOSTILE = "a\x1b[2J\x1b]52;c;ZXZpbA==\x07\x07\r\x9b31m\x7f\u202e\u2066\u061c\u2028\u2029\u200b\ufff9\U000e0041z"
RAW = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\U000e0000-\U000e007f]"
)
LISTS = (
    "task list",
    "task show {task}",
    "task show {task} --prompt",
    "agent list --all",
    "agent permissions",
    "session list",
    "project list",
    "project show hostile",
    "audit list",
    "incident list --all",
    "notify list",
    "approval rule list",
    "system list",
    "token list",
    "status",
    "logs",
    "logs {task}",
    "logs --daemon",
    "doctor",
)


def printed(view: RenderableType) -> str:
    console = Console(file=StringIO(), width=160, color_system=None)
    console.print(view)
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()


@pytest.fixture(scope="module")
def ccm(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with command_line(tmp_path_factory.mktemp("cli"), CalledHere) as ccm:
        project = ccm.home / f"dir{HOSTILE.replace('/', '')}"
        (project / ".claude/agents").mkdir(parents=True)
        settings = {"apiKeyHelper": HOSTILE, HOSTILE: HOSTILE, "env": {f"{HOSTILE}URL": HOSTILE}}
        (project / ".claude/settings.json").write_text(json.dumps(settings), "utf-8")
        (project / f".claude/agents/{HOSTILE}.md").write_text("!`x`", "utf-8")
        assert ccm("project", "add", str(project), "--name", "hostile", "--trust").code == 0
        (ccm.state / "logs").mkdir(parents=True, exist_ok=True)
        (ccm.state / "logs/daemon.log").write_text(f"{{{HOSTILE}}}\n{HOSTILE}\n", "utf-8")
        yield ccm


@pytest.fixture(scope="module")
def task(ccm: CommandLine) -> str:
    said = ccm("task", "add", "--project", "hostile", "--tag", "t", "-q", "--", HOSTILE)
    assert said.code == 0, said.err
    return said.out.strip()


@pytest.mark.parametrize("flags", [(), ("--json",), ("-q",)], ids=["view", "json", "quiet"])
@pytest.mark.parametrize("words", LISTS)
def test_no_list_sends_a_control_character(ccm: CommandLine, task: str, words: str, flags: tuple[str, ...]) -> None:
    said = ccm(*words.format(task=task).split(), *flags)
    assert said.code != Exit.BAD_INPUT, said.err
    assert not RAW.search(said.out + said.err), repr(said.out + said.err)


def test_the_hostile_texts_were_shown_at_all(ccm: CommandLine, task: str) -> None:
    assert "a31m  z" in ccm("task", "show", task, "--prompt").out
    assert "a31m  z" in ccm("project", "list").out
    assert ccm("task", "show", task, "--json").json["prompt"] == HOSTILE, "and programs get it as it is"


def _event() -> dict[str, Any]:
    return {"at": "2026-01-01T00:00:00Z", "task_id": HOSTILE, "kind": HOSTILE, "data": {HOSTILE: HOSTILE}}


def _status() -> RenderableType:
    health = {"state": HOSTILE, "since": None, "last_error": HOSTILE, "warnings": [HOSTILE]}
    status = {"trouble": HOSTILE, "system_id": HOSTILE, "version": HOSTILE, "agents": 0, "max_agents": 1}
    known = {"tasks": {HOSTILE: 1}, "supabase": health, "draining": True, "incidents": [HOSTILE]}
    return status_report(status | known, [], "http://127.0.0.1:1")


def _report() -> RenderableType:
    usage = dict.fromkeys(("input_tokens", "output_tokens", "cache_read_tokens", "cache_creation_tokens"), 0)
    summary = {"commands": [{"command": HOSTILE, "exit_code": 1}], "errors": [HOSTILE]}
    git = {"base_commit": "\x1b[2Jabcde", "head_commit": "\x9b31mabcd", "diff_stat": HOSTILE}
    texts = ("task_id", "title", "project", "profile", "source", "agent", "model", "status")
    task: dict[str, Any] = dict.fromkeys(texts, HOSTILE) | {key: [HOSTILE] for key in ("after", "labels", "tags")}
    task |= dict.fromkeys(("lease", "run_after", "time_limit_s", "budget_usd", "cancel_requested_at"))
    task |= {"created_at": None, "priority": 0, "attempt": 1, "max_attempts": 1}
    task |= {"hold": {"reason": HOSTILE, "detail": HOSTILE, "until": None}}
    result: dict[str, Any] = {"failure": {"kind": HOSTILE, "message": HOSTILE}, "text": HOSTILE, "session_id": HOSTILE}
    result |= {"usage": usage | {"cost_usd": None}, "duration_s": 1.0}
    result |= {"summary": summary | {"files_written": [HOSTILE], "files_read": [HOSTILE]}}
    return task_report(task | {"result": result | {"git": git | {"commits": [HOSTILE], "files_changed": []}}}, HOSTILE)


@pytest.mark.parametrize(
    "view",
    [lambda: event_line(_event()), lambda: event_row(_event()), _status, _report],
    ids=["event line", "event row", "status", "task report"],
)
def test_no_view_of_a_remote_row_sends_a_control_character(view: Callable[[], RenderableType]) -> None:
    assert not RAW.search(printed(view()))


def test_json_notes_messages_and_ids_send_no_control_character(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({HOSTILE: HOSTILE})
    said = capsys.readouterr().out
    assert json.loads(said) == {HOSTILE: HOSTILE} and not RAW.search(said)
    Session().note(HOSTILE)
    Session().show({}, HOSTILE + "[bold]x")
    Session(quiet=True).show({}, "", ids=HOSTILE)
    said = "".join(capsys.readouterr())
    assert said.count("a") >= 3 and "[bold]x" in said and not RAW.search(said)


def test_names_of_directories_that_are_offered_send_no_control_character(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("typer.prompt", lambda *_, **__: "all")
    assert questions.some_of("Which?", [Path(HOSTILE)]) == (Path(HOSTILE),)
    assert not RAW.search(capsys.readouterr().out)
