"""Bad input and bad machines: one clear sentence each, the task stays visible, and the daemon goes on."""

from __future__ import annotations

import json
import os
import sqlite3
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from ccm_orchestrator.demo.sandbox import Sandbox
from tests.acceptance.worlds import CONFIG, wait_for, wait_status, world
from tests.claude import claude_binary, claude_versions
from tests.invariants import check_invariants

pytestmark = [pytest.mark.tmux, pytest.mark.slow]

STUB = """
[stop]
interrupt_grace_s = 1

[profiles.executor]
driver = "generic"
command = ["sh", "-c", 'echo "{marker_done}"']
"""
"""The default profile is a command that ends at once: what is tested here happens before an agent starts."""


EASY = """
[profiles.easy]
driver = "generic"
command = ["sh", "-c", 'echo "{marker_done}"']
"""


@pytest.fixture(scope="module")
def daemon() -> Iterator[Sandbox]:
    """One daemon for all bad rows; after all of them a good task succeeds."""
    with world(STUB, claude=Path("/nonexistent/claude")) as sandbox:
        process = sandbox.start_daemon()
        yield sandbox
        assert goes_on(sandbox)
        assert process.poll() is None
        assert lost_to_the_machine(sandbox) == []
        check_invariants(sandbox)


def goes_on(sandbox: Sandbox) -> bool:
    """A good task, inserted now, succeeds."""
    wait_status(sandbox, sandbox.insert_task("Do it."), "succeeded")
    return True


def lost_to_the_machine(sandbox: Sandbox) -> list[tuple[object, ...]]:
    """Runs that failed although nothing was wrong with the machine."""
    return sandbox.query("SELECT run FROM runs WHERE json_extract(run, '$.failure_kind') NOT IN ('setup')")


def held(sandbox: Sandbox, task_id: str) -> tuple[str, str]:
    """Reason and sentence, once the task is held; both are what the API and the command line show."""
    wait_status(sandbox, task_id, "held", "failed", "succeeded", limit_s=30)
    reason, detail = sandbox.query("SELECT hold_reason, hold_detail FROM tasks WHERE task_id = ?", task_id)[0]
    shown = sandbox.run("task", "show", task_id)
    assert str(detail)[:40] in " ".join(shown.stdout.split()), shown.stdout
    with sandbox.api() as api:
        assert api.get(f"/api/tasks/{task_id}").json()["hold"]["detail"] == detail
    return str(reason), str(detail)


def refused(sandbox: Sandbox, sentence: str, body: Mapping[str, object], *arguments: str) -> None:
    """By the API and by the command line, with the same sentence, and nothing is stored."""
    before = sandbox.query("SELECT count(*) FROM tasks")
    with sandbox.api() as api:
        answer = api.post("/api/tasks", json=body)
    assert 400 <= answer.status_code < 500
    assert sentence in answer.json()["detail"]
    done = sandbox.run("task", "add", *arguments, check=False)
    assert done.returncode != 0
    assert sentence in " ".join(done.stderr.split()), done.stderr
    assert "Traceback" not in done.stderr
    assert sandbox.query("SELECT count(*) FROM tasks") == before


# --- refused at the door ---


def test_an_unknown_project_is_refused(daemon: Sandbox) -> None:
    body = {"project": "nowhere", "prompt": "Do it."}
    refused(daemon, "There is no project named 'nowhere'", body, "Do it.", "--project", "nowhere")


@pytest.mark.parametrize("prompt", ["", " \n\t "])
def test_an_empty_prompt_is_refused(daemon: Sandbox, prompt: str) -> None:
    refused(daemon, "The prompt is empty", {"project": "sample", "prompt": prompt}, prompt, "--project", "sample")


def test_an_unknown_profile_is_refused(daemon: Sandbox) -> None:
    body = {"project": "sample", "prompt": "Do it.", "profile": "ghost"}
    refused(
        daemon, "The profile 'ghost' is not configured", body, "Do it.", "--project", "sample", "--profile", "ghost"
    )


def test_an_unknown_dependency_is_refused(daemon: Sandbox) -> None:
    body = {"project": "sample", "prompt": "Do it.", "after": ["nosuchtask"]}
    arguments = ("Do it.", "--project", "sample", "--after", "nosuchtask")
    refused(daemon, "'nosuchtask'", body, *arguments)


def test_a_dependency_on_itself_is_refused(daemon: Sandbox) -> None:
    body = {"project": "sample", "prompt": "Do it.", "task_id": "myself", "after": ["myself"]}
    with daemon.api() as api:
        answer = api.post("/api/tasks", json=body)
    assert 400 <= answer.status_code < 500
    assert daemon.query("SELECT 1 FROM tasks WHERE task_id = 'myself'") == []


def test_a_malformed_body_is_refused(daemon: Sandbox) -> None:
    with daemon.api() as api:
        for content in (b"{", b"[]", b'{"project": "sample"}', b'{"project": 1, "prompt": ["x"]}', b"\xff\x00"):
            answer = api.post("/api/tasks", content=content, headers={"Content-Type": "application/json"})
            assert 400 <= answer.status_code < 500, content
            assert answer.headers["content-type"].startswith("application/problem+json")
    assert goes_on(daemon)


def test_a_full_queue_refuses_and_takes_tasks_again_when_there_is_room() -> None:
    config = STUB + '\n[profiles.slow]\ndriver = "generic"\ncommand = ["sh", "-c", "exec sleep 600"]\n'
    with world(config, head="queue_limit = 2\nmax_agents = 1\n", claude=Path("/nonexistent/claude")) as sandbox:
        sandbox.start_daemon()
        busy = sandbox.insert_task("Block the machine.", profile="slow")
        wait_status(sandbox, busy, "running")
        for number in range(2):
            sandbox.run("task", "add", f"Wait {number}.", "--project", "sample")
        body = {"project": "sample", "prompt": "One too many."}
        refused(sandbox, "The queue is full (2 tasks wait, the limit is 2)", body, "Too many.", "--project", "sample")
        with sandbox.api() as api:
            assert api.post("/api/tasks", json=body).status_code == 429
        sandbox.run("task", "stop", busy)
        for (task_id,) in sandbox.query("SELECT task_id FROM tasks WHERE task_id <> ?", busy):
            wait_status(sandbox, str(task_id), "succeeded")
        assert goes_on(sandbox)
        check_invariants(sandbox)


# --- rows by hand ---


def test_a_row_with_an_unknown_project_is_held_and_runs_when_the_project_is_there(
    daemon: Sandbox, tmp_path: Path
) -> None:
    task_id = daemon.insert_task("Do it.", project="later")
    reason, detail = held(daemon, task_id)
    assert reason == "invalid"
    assert "'later'" in detail and "project add" in detail
    daemon.run("project", "add", str(tmp_path), "--name", "later")
    daemon.run("task", "release", task_id)
    wait_status(daemon, task_id, "succeeded")


def test_a_row_that_waits_for_nobody_knows_whom_is_held(daemon: Sandbox) -> None:
    reason, detail = held(daemon, daemon.insert_task("Do it.", after='["nosuchtask"]'))
    assert reason == "invalid"
    assert "'nosuchtask'" in detail


def test_a_dependency_cycle_by_hand_is_held_and_its_neighbours_run(daemon: Sandbox) -> None:
    ring = [f"ring-{number}-{uuid.uuid4().hex[:8]}" for number in range(3)]
    for number, task_id in enumerate(ring):
        daemon.insert_task("Do it.", task_id=task_id, after=json.dumps([ring[number - 1]]))
    free = daemon.insert_task("Do it.")
    for task_id in ring:
        reason, detail = held(daemon, task_id)
        assert reason in ("invalid", "dependency")
        assert "waits for" in detail
    wait_status(daemon, free, "succeeded")


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"after": "{not json"}, "after"),
        ({"after": '{"a": 1}'}, "after"),
        ({"after": "[1, 2]"}, "after"),
        ({"tags": "nonsense"}, "tags"),
        ({"run_after": "next week"}, "run_after"),
        ({"prompt": "  "}, "prompt is empty"),
        ({"prompt": b"\xff\xfe"}, "UTF-8"),
        ({"profile": "ghost"}, "`ghost` is not configured"),
    ],
)
def test_a_malformed_row_is_held_with_what_to_mend(daemon: Sandbox, columns: dict[str, object], words: str) -> None:
    _, detail = held(daemon, insert_with(daemon, columns))
    assert words in detail
    assert goes_on(daemon)


@pytest.mark.parametrize("columns", [{"priority": "high"}, {"max_attempts": "many"}, {"status": "done"}])
def test_a_row_that_cannot_mean_anything_is_refused_by_the_database(
    daemon: Sandbox, columns: dict[str, object]
) -> None:
    with pytest.raises(sqlite3.IntegrityError, match=next(iter(columns))):
        daemon.insert_task("Do it.", **columns)


def insert_with(sandbox: Sandbox, columns: Mapping[str, object]) -> str:
    others = {name: value for name, value in columns.items() if name != "prompt"}
    return sandbox.insert_task(columns.get("prompt", "Do it."), **others)


# --- machines that cannot ---


def test_a_project_whose_directory_is_gone_is_held_until_it_is_back() -> None:
    with world(STUB, claude=Path("/nonexistent/claude")) as sandbox:
        sandbox.start_daemon()
        away = sandbox.project.with_name("away")
        sandbox.project.rename(away)
        first, second = (sandbox.insert_task("Do it.") for _ in range(2))
        for task_id in (first, second):
            reason, detail = held(sandbox, task_id)
            assert reason == "setup"
            assert str(sandbox.project) in detail and "gone" in detail
        assert sandbox.query("SELECT count(*) FROM tasks WHERE hold_until IS NOT NULL") == [(2,)], "it tries again"
        sandbox.run("task", "release", first)
        wait_for("the hold again", lambda: _holds(sandbox, first) == 2, sandbox)
        away.rename(sandbox.project)
        sandbox.run("task", "release", first)
        wait_status(sandbox, first, "succeeded")
        let_time_pass(sandbox)
        wait_status(sandbox, second, "succeeded", limit_s=40)
        check_invariants(sandbox)


def _holds(sandbox: Sandbox, task_id: str) -> int:
    return len(sandbox.query("SELECT 1 FROM events WHERE task_id = ? AND kind = 'task.held'", task_id))


def let_time_pass(sandbox: Sandbox) -> None:
    """The five minutes of every hold are over."""
    sandbox.execute("UPDATE tasks SET hold_until = '2026-01-01T00:00:00.000000Z' WHERE hold_until IS NOT NULL")


def without(program: str, directory: Path) -> str:
    """A PATH with everything that the real one has, but that program."""
    farm = directory / f"no-{program}"
    farm.mkdir()
    for place in reversed(os.environ["PATH"].split(":")):
        for file in Path(place).iterdir() if Path(place).is_dir() else ():
            if file.name != program:
                link = farm / file.name
                link.unlink(missing_ok=True)
                link.symlink_to(file)
    return str(farm)


def test_without_tmux_the_daemon_runs_and_says_so(tmp_path: Path) -> None:
    with world(STUB, claude=Path("/nonexistent/claude")) as sandbox:
        sandbox.overrides["PATH"] = without("tmux", tmp_path)
        sandbox.start_daemon()
        task_id = sandbox.insert_task("Do it.")
        reason, detail = held(sandbox, task_id)
        assert reason == "setup"
        assert "tmux" in detail
        with sandbox.api() as api:
            assert api.get("/health").status_code == 200
            assert api.get("/health/tmux").status_code == 503
        sandbox.stop_daemon()
        del sandbox.overrides["PATH"]
        let_time_pass(sandbox)
        sandbox.start_daemon()
        wait_status(sandbox, task_id, "succeeded", limit_s=40)
        assert sandbox.query("SELECT attempt FROM tasks") == [(1,)], "no attempt was consumed"
        check_invariants(sandbox)


def test_without_claude_the_task_is_held(tmp_path: Path) -> None:
    with world(CONFIG + EASY, claude=tmp_path / "claude") as sandbox:
        sandbox.start_daemon()
        reason, detail = held(sandbox, sandbox.insert_task("Do it."))
        assert reason == "setup"
        assert str(tmp_path / "claude") in detail and "install" in detail
        wait_status(sandbox, sandbox.insert_task("Do it.", profile="easy"), "succeeded")
        check_invariants(sandbox)


@pytest.mark.claude
def test_what_is_no_claude_or_too_old_is_held_until_it_is_updated(tmp_path: Path) -> None:
    claude = tmp_path / "claude"
    with world(CONFIG, claude=claude) as sandbox:
        for number, (answer, words) in enumerate(
            [
                ("", "Expected `claude --version` to name a release"),
                ("GNU bash, version 5", "got: GNU bash, version 5"),
                ("2.0.14 (Claude Code)", "2.0.14 is too old, at least 2.1.197 is needed; run `claude update`"),
            ]
        ):
            claude.write_text(f'#!/bin/sh\n: {"x" * number}\necho "{answer}"\n')
            claude.chmod(0o755)
            if sandbox.daemon is None:
                sandbox.start_daemon()
            task_id = sandbox.insert_task("Say hello. [scenario:chat]")
            reason, detail = held(sandbox, task_id)
            assert (reason, words in detail) == ("setup", True), detail
        claude.unlink()
        claude.symlink_to(claude_binary(claude_versions()[-1]))
        sandbox.run("task", "release", task_id)
        wait_status(sandbox, task_id, "succeeded", "failed", "held")
        assert sandbox.query("SELECT status, attempt FROM tasks WHERE task_id = ?", task_id) == [("succeeded", 1)]
        check_invariants(sandbox)


@pytest.mark.claude
def test_without_a_login_the_task_is_held() -> None:
    with world(CONFIG + EASY) as sandbox:
        sandbox.overrides["ANTHROPIC_API_KEY"] = None
        sandbox.start_daemon()
        task_id = sandbox.insert_task("Say hello. [scenario:chat]")
        reason, detail = held(sandbox, task_id)
        assert reason == "setup"
        assert "login" in detail or "logged in" in detail
        wait_status(sandbox, sandbox.insert_task("Do it.", profile="easy"), "succeeded")
        sandbox.stop_daemon()
        del sandbox.overrides["ANTHROPIC_API_KEY"]
        sandbox.start_daemon()
        sandbox.run("task", "release", task_id)
        wait_status(sandbox, task_id, "succeeded")
        check_invariants(sandbox)
