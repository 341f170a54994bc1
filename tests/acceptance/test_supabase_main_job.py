"""The main job through a Supabase project, with real parts: a row there becomes a finished result there."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterator
from contextlib import closing

import pytest

from ccm_orchestrator.demo.sandbox import Sandbox
from ccm_orchestrator.devstack.stack import LocalSupabase
from tests.acceptance.supabase_worlds import insert, machine, release, rows, status, wait_state, wait_status
from tests.acceptance.worlds import wait_for
from tests.acceptance.worlds import wait_status as wait_local
from tests.supabase_http import Caller
from tests.supabase_invariants import check_shared, runs_of

pytestmark = [pytest.mark.claude, pytest.mark.tmux, pytest.mark.slow]

TOLD = "select kind from task_events where task_id = %(id)s order by event_id"
CHAT = "Say hello. [scenario:chat]"


@pytest.fixture(scope="module")
def served(supabase_stack: LocalSupabase) -> Iterator[tuple[LocalSupabase, Sandbox]]:
    """One daemon for all tests of this file."""
    supabase_stack.reset()
    with machine(supabase_stack) as sandbox:
        sandbox.start_daemon()
        wait_state(sandbox, "live")
        yield supabase_stack, sandbox
        check_shared(supabase_stack, sandbox)


def column(stack: LocalSupabase, task_id: str, name: str) -> object:
    return rows(stack, f"select {name} from tasks where task_id = %(id)s", id=task_id)[0][0]


def member(stack: LocalSupabase) -> Caller:
    """Somebody who signed in to an application of the project, and may have agents work."""
    user_id = str(uuid.uuid4())
    rows(stack, "insert into members (user_id, role) values (%(id)s, 'submitter')", id=user_id)
    return Caller(stack, stack.token(sub=user_id), user_id)


def test_a_row_by_sql_comes_back_with_its_result_and_its_story(served: tuple[LocalSupabase, Sandbox]) -> None:
    stack, sandbox = served
    started = time.monotonic()
    (task,) = insert(stack, profile="executor", prompt="Write a greeting. [scenario:edit-and-run]")
    wait_for("a claim", lambda: status(stack, task) != "queued", sandbox)
    print(f"row to claim, heard by Realtime: {time.monotonic() - started:.2f} s")
    wait_status(stack, sandbox, task, "succeeded", "failed", "held")
    result = column(stack, task, "result")
    assert isinstance(result, dict) and result["outcome"] == "succeeded", result
    assert result["summary"]["tool_counts"] == {"Write": 1, "Edit": 1, "Bash": 1}
    assert result["usage"]["output_tokens"] > 0 and result["git"]["files_changed"] == ["greeting.txt"]
    wait_for("its last event", lambda: ("task.succeeded",) in rows(stack, TOLD, id=task), sandbox)
    kinds = [str(kind) for (kind,) in rows(stack, TOLD, id=task)]
    assert kinds[0] == "task.claimed" and kinds[-1] == "task.succeeded" and "tool_use_start" in kinds
    assert runs_of([sandbox])[task] == 1


def test_a_row_of_a_signed_in_member_is_carried_out_and_its_result_is_theirs_to_read(
    served: tuple[LocalSupabase, Sandbox],
) -> None:
    stack, sandbox = served
    with closing(member(stack)) as ann, closing(member(stack)) as bob:
        task = uuid.uuid4().hex
        answer = ann.send("POST", "tasks", {"task_id": task, "project": "sample", "prompt": CHAT})
        assert answer.status_code == 201, answer.text
        wait_status(stack, sandbox, task, "succeeded", "failed", "held")
        (found,) = ann.rows(f"tasks?task_id=eq.{task}&select=status,result,source")
        assert (found["status"], found["source"]) == ("succeeded", "supabase")
        assert found["result"]["outcome"] == "succeeded"
        assert bob.rows(f"tasks?task_id=eq.{task}") == []


def test_the_command_adds_to_the_shared_queue_and_waits_for_the_outcome(served: tuple[LocalSupabase, Sandbox]) -> None:
    stack, sandbox = served
    options = ("--project", "sample", "--store", "supabase")
    (settled,) = json.loads(sandbox.run("task", "add", CHAT, *options, "--wait", "--json").stdout)
    task = str(settled["task_id"])
    assert settled["status"] == status(stack, task) == "succeeded"
    assert sandbox.query("SELECT 1 FROM tasks WHERE task_id = ?", task) == [], "it is nobody's local task"
    assert task[:8] in sandbox.run("task", "list", "--store", "supabase", "--status", "succeeded").stdout


def test_a_row_that_cannot_be_carried_out_is_held_with_the_sentence_that_mends_it(
    served: tuple[LocalSupabase, Sandbox],
) -> None:
    stack, sandbox = served
    (task,) = insert(stack, project="nowhere")
    wait_status(stack, sandbox, task, "held")
    assert column(stack, task, "hold_reason") == "invalid"
    assert str(column(stack, task, "hold_detail")).startswith("There is no project named 'nowhere'")
    assert runs_of([sandbox])[task] == 0


def test_a_cancellation_in_the_database_reaches_the_agent_that_works(served: tuple[LocalSupabase, Sandbox]) -> None:
    stack, sandbox = served
    with closing(member(stack)) as ann:
        task = ann.enqueue("Take your time. [scenario:slow-tool seconds=60]", project="sample")["task_id"]
        wait_status(stack, sandbox, task, "running")
        started = time.monotonic()
        assert ann.rpc("cancel_task", p_task_id=task)["cancel_requested_at"]
        wait_status(stack, sandbox, task, "cancelled")
        print(f"cancelled in the database to agent ended: {time.monotonic() - started:.1f} s")
    assert sandbox.query("SELECT state FROM runs WHERE task_id = ?", task) == [("ended",)]


def test_a_permission_is_asked_while_the_row_says_waiting_and_answered_here(
    served: tuple[LocalSupabase, Sandbox],
) -> None:
    stack, sandbox = served
    (task,) = insert(stack, profile="careful", prompt="Note the date. [scenario:ask-permission]")
    wait_status(stack, sandbox, task, "waiting")
    agent = str(sandbox.query("SELECT run_id FROM runs WHERE task_id = ?", task)[0][0])
    wait_for("an open request", lambda: sandbox.query("SELECT 1 FROM permissions WHERE run_id = ?", agent), sandbox)
    assert "stamp.txt" in json.dumps(json.loads(sandbox.run("agent", "permissions", "--json").stdout))
    sandbox.run("agent", "approve", agent)
    wait_status(stack, sandbox, task, "succeeded", "failed", "held")
    assert status(stack, task) == "succeeded"


def test_both_queues_are_served_side_by_side(served: tuple[LocalSupabase, Sandbox]) -> None:
    stack, sandbox = served
    shared = insert(stack, 3, "lasting")
    local = [sandbox.insert_task("Do it.", profile="lasting") for _ in range(3)]
    for task in shared:
        wait_status(stack, sandbox, task, "running")
    for task in local:
        wait_local(sandbox, task, "running")
    release(sandbox)
    for task in shared:
        wait_status(stack, sandbox, task, "succeeded")
    for task in local:
        wait_local(sandbox, task, "succeeded")
    assert all(runs_of([sandbox])[task] == 1 for task in (*shared, *local))
    assert rows(stack, "select 1 from tasks where task_id = any(%(local)s)", local=local) == []
