"""What real agents ask, answered over HTTP while their terminals show the dialog; by rules; after a restart."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest

from ccm_orchestrator.demo.sandbox import Sandbox
from tests.acceptance.worlds import CONFIG, status, wait_for, wait_status, world
from tests.claude import claude_versions
from tests.invariants import check_invariants

pytestmark = [pytest.mark.claude, pytest.mark.tmux, pytest.mark.slow]

COLOUR = "Which colour shall the button have?"
ANSWERERS = 12
RULES = """
[profiles.ruled]
permission_mode = "default"
end_marker = true

[profiles.planner]
permission_mode = "plan"
end_marker = true

[profiles.hasty]
permission_mode = "default"
end_marker = true
permission_timeout_s = 1
permission_expiry = "terminal"

[approval_rules.date]
decision = "allow"
command = "date > stamp.txt"
profile = "ruled"
"""


@pytest.fixture(scope="module", params=claude_versions())
def daemon(request: pytest.FixtureRequest) -> Iterator[Sandbox]:
    with world(CONFIG + RULES, version=request.param) as sandbox:
        sandbox.start_daemon()
        yield sandbox
        check_invariants(sandbox)


def open_requests(sandbox: Sandbox, task_id: str) -> list[dict[str, Any]]:
    with sandbox.api() as api:
        found = api.get("/api/permissions").raise_for_status().json()
    return [request for request in found if request["task_id"] == task_id]


def asked(sandbox: Sandbox, task_id: str, words: str) -> dict[str, Any]:
    """The one open request of the task, as soon as the agent's window shows its dialog."""
    wait_for("an open request", lambda: open_requests(sandbox, task_id), sandbox)
    (request,) = open_requests(sandbox, task_id)
    wait_for(f"{words!r} on the screen", lambda: words in screen(sandbox, request), sandbox)
    return request


def screen(sandbox: Sandbox, request: dict[str, Any]) -> str:
    with sandbox.api() as api:
        text = api.get(f"/api/agents/{request['run_id']}/screen").raise_for_status().json()["text"]
    return " ".join(str(text).split())


def answer(sandbox: Sandbox, request: dict[str, Any], **body: Any) -> tuple[int, dict[str, Any]]:
    with sandbox.api() as api:
        response = api.post(f"/api/permissions/{request['request_id']}", json={"decision": "allow"} | body)
    return response.status_code, response.json()


def settled(sandbox: Sandbox, request: dict[str, Any]) -> dict[str, Any]:
    with sandbox.api() as api:
        found: dict[str, Any] = api.get(f"/api/permissions/{request['request_id']}").raise_for_status().json()
    return found


def ended(sandbox: Sandbox, task_id: str) -> dict[str, Any]:
    wait_status(sandbox, task_id, "succeeded", "failed", "held", limit_s=120)
    with sandbox.api() as api:
        task: dict[str, Any] = api.get(f"/api/tasks/{task_id}").raise_for_status().json()
    return task


def press_yes(sandbox: Sandbox, request: dict[str, Any], before: Callable[[], object] = lambda: None) -> None:
    """As a person does in the agent's window."""
    with sandbox.api() as api:
        window_id = api.get(f"/api/agents/{request['run_id']}").raise_for_status().json()["window_id"]
    before()
    subprocess.run(sandbox.tmux("send-keys", "-t", window_id, "1"), env=sandbox.env, check=True, timeout=30)


def test_of_many_answers_at_once_over_http_one_wins_while_the_terminal_shows_the_dialog(daemon: Sandbox) -> None:
    task_id = daemon.insert_task("Note the date. [scenario:ask-permission]", profile="careful")
    request = asked(daemon, task_id, "Do you want to proceed?")
    assert request["tool_input"]["command"] == "date > stamp.txt" and request["suggestions"]
    assert request["context"]["project"] == "sample" and request["context"]["permission_mode"] == "default"
    assert request["suggested_rule"] == {"tool": "Bash", "command": "date > stamp.txt"}
    with ThreadPoolExecutor(ANSWERERS) as pool:
        names = [f"person-{number}" for number in range(ANSWERERS)]
        answers = list(pool.map(lambda name: answer(daemon, request, decided_by=name), names))
    winners = [name for name, (code, _) in zip(names, answers, strict=True) if code == 200]
    assert len(winners) == 1 and {code for code, _ in answers} == {200, 409}
    assert settled(daemon, request)["verdict"]["decided_by"] == winners[0]
    assert ended(daemon, task_id)["status"] == "succeeded"
    rows = daemon.query("SELECT data FROM events WHERE task_id = ? AND kind = 'permission.decided'", task_id)
    assert [json.loads(str(row[0]))["decided_by"] for row in rows] == winners


def test_a_question_is_answered_by_a_form(daemon: Sandbox) -> None:
    task_id = daemon.insert_task("Ask me. [scenario:question]", profile="marked")
    request = asked(daemon, task_id, COLOUR)
    (question,) = request["tool_input"]["questions"]
    assert request["dialog"] == "question" and [each["label"] for each in question["options"]] == ["Red", "Blue"]
    assert answer(daemon, request)[0] == 422
    assert answer(daemon, request, answers={"What?": "Blue"})[0] == 422
    assert answer(daemon, request, answers={question["question"]: "Blue"})[0] == 200
    task = ended(daemon, task_id)
    assert task["status"] == "succeeded" and f'"{COLOUR}"="Blue"' in task["result"]["text"]


def test_a_plan_is_approved_and_what_it_leads_to_for_the_rest_of_the_task(daemon: Sandbox) -> None:
    task_id = daemon.insert_task("Plan it. [scenario:plan]", profile="planner")
    plan = asked(daemon, task_id, "Would you like to proceed?")
    assert plan["dialog"] == "plan" and "Write plan.txt" in plan["tool_input"]["plan"]
    assert answer(daemon, plan)[0] == 200
    edit = asked(daemon, task_id, "plan.txt?")
    code, decided = answer(daemon, edit, scope="task", rule={"tool": "Write", "path": "*.txt"})
    assert code == 200
    assert ended(daemon, task_id)["status"] == "succeeded"
    with daemon.api() as api:
        rules = api.get("/api/approval-rules").json()
    assert decided["verdict"]["rule_ids"] == [rule["rule_id"] for rule in rules if rule["task_id"] == task_id]
    assert (daemon.project / "plan.txt").read_text() == "as planned\n"


def test_a_rule_of_the_configuration_answers_and_nobody_waits(daemon: Sandbox) -> None:
    task_id = daemon.insert_task("Note the date. [scenario:ask-permission]", profile="ruled")
    assert ended(daemon, task_id)["status"] == "succeeded"
    rows = daemon.query("SELECT kind, data FROM events WHERE task_id = ? AND kind LIKE 'permission.%'", task_id)
    assert [str(kind) for kind, _ in rows] == ["permission.decided"]
    assert json.loads(str(rows[0][1]))["rule_ids"] == ["settings:date"]


def test_an_answer_in_the_terminal_wins_over_later_ones(daemon: Sandbox) -> None:
    task_id = daemon.insert_task("Note the date. [scenario:ask-permission]", profile="careful")
    request = asked(daemon, task_id, "Do you want to proceed?")
    press_yes(daemon, request)
    wait_for("a closed request", lambda: settled(daemon, request)["status"] != "open", daemon)
    assert settled(daemon, request)["status"] == "answered_elsewhere"
    code, problem = answer(daemon, request, decision="deny")
    assert code == 409 and "answered_elsewhere" in problem["detail"]
    assert ended(daemon, task_id)["status"] == "succeeded"


def test_a_yes_in_the_terminal_and_a_no_from_afar_at_once_are_told_as_they_were(daemon: Sandbox) -> None:
    stamp = daemon.project / "stamp.txt"
    stamp.unlink(missing_ok=True)
    task_id = daemon.insert_task("Note the date. [scenario:ask-permission]", profile="careful")
    request = asked(daemon, task_id, "Do you want to proceed?")
    together = Barrier(2)

    def refuse() -> int:
        together.wait()
        return answer(daemon, request, decision="deny")[0]

    with ThreadPoolExecutor(2) as pool:
        refused = pool.submit(refuse)
        pool.submit(press_yes, daemon, request, together.wait).result()
        code = refused.result()
    ended(daemon, task_id)
    ran = stamp.exists()
    wanted = "answered_elsewhere" if ran else "decided"
    wait_for(f"a request that is {wanted}", lambda: settled(daemon, request)["status"] == wanted, daemon)
    rows = daemon.query("SELECT data FROM events WHERE task_id = ? AND kind = 'permission.decided'", task_id)
    told = [(data["status"], data.get("overruled")) for data in (json.loads(str(row[0])) for row in rows)]
    possible: dict[tuple[int, bool], list[tuple[str, str | None]]] = {
        (200, True): [("decided", None), ("answered_elsewhere", "deny")],
        (200, False): [("decided", None)],
        (409, True): [("answered_elsewhere", None)],
    }
    assert told == possible.get((code, ran)), f"{code}, {'ran' if ran else 'did not run'}"


def test_what_expires_is_left_to_the_terminal(daemon: Sandbox) -> None:
    task_id = daemon.insert_task("Note the date. [scenario:ask-permission]", profile="hasty")
    wait_for("a request", lambda: daemon.query("SELECT 1 FROM events WHERE task_id = ?", task_id), daemon)
    found = "SELECT request FROM permissions WHERE json_extract(request, '$.task_id') = ?"
    wait_for("a permission", lambda: daemon.query(found, task_id), daemon)
    request = json.loads(str(daemon.query(found, task_id)[0][0]))
    wait_for("an expired request", lambda: settled(daemon, request)["status"] == "expired", daemon)
    assert "Do you want to proceed?" in screen(daemon, request) and status(daemon, task_id) == "waiting"
    press_yes(daemon, request)
    assert ended(daemon, task_id)["status"] == "succeeded"


@pytest.mark.parametrize(
    ("prompt", "profile", "words", "body"),
    [
        ("Note the date. [scenario:ask-permission]", "careful", "Do you want to proceed?", {"scope": "task"}),
        ("Ask me. [scenario:question]", "marked", COLOUR, {"answers": {COLOUR: "Blue"}}),
    ],
    ids=["permission", "question"],
)
def test_a_restart_in_between_loses_no_request(
    daemon: Sandbox, prompt: str, profile: str, words: str, body: dict[str, Any]
) -> None:
    task_id = daemon.insert_task(prompt, profile=profile)
    request = asked(daemon, task_id, words)
    daemon.kill_daemon()
    daemon.start_daemon()
    assert [each["request_id"] for each in open_requests(daemon, task_id)] == [request["request_id"]]
    with ThreadPoolExecutor(ANSWERERS) as pool:
        codes = list(pool.map(lambda _: answer(daemon, request, **body)[0], range(ANSWERERS)))
    assert sorted(codes) == [200] + [409] * (ANSWERERS - 1)
    task = ended(daemon, task_id)
    assert task["status"] == "succeeded"
    assert "answers" not in body or f'"{COLOUR}"="Blue"' in task["result"]["text"]


def test_a_plan_is_approved_after_a_restart(daemon: Sandbox) -> None:
    task_id = daemon.insert_task("Plan it. [scenario:plan]", profile="planner")
    plan = asked(daemon, task_id, "Would you like to proceed?")
    daemon.kill_daemon()
    daemon.start_daemon()
    (daemon.project / "plan.txt").unlink(missing_ok=True)
    assert answer(daemon, plan)[0] == 200
    assert answer(daemon, asked(daemon, task_id, "plan.txt?"))[0] == 200
    assert ended(daemon, task_id)["status"] == "succeeded"
    assert (daemon.project / "plan.txt").exists()
