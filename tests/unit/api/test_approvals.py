"""Answers that reach further than once, and rules that answer by themselves."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from ccm_orchestrator.domain.dialogue import Expiry, PermissionStatus
from ccm_orchestrator.domain.profiles import Profile
from ccm_orchestrator.domain.result import Outcome, TaskResult
from ccm_orchestrator.domain.rules import ApprovalRule, RuleDecision
from ccm_orchestrator.ports.terminal import Key
from tests.api_house import ASK, DIALOG, RUN_A, RUN_B, House

LINT = {"tool_name": "Bash", "tool_input": {"command": "npm run lint"}}
PUSH = {"tool_name": "Bash", "tool_input": {"command": "git push origin"}}
QUESTION = {"dialog": "question", "tool_name": "AskUserQuestion", "tool_input": {"questions": [{"question": "Which?"}]}}
NO_PUSH = ApprovalRule("settings:no-push", RuleDecision.DENY, command="git push *", reason="Push by hand.")


async def decided(hook: asyncio.Task[httpx.Response]) -> str:
    answer = await hook
    return str(answer.json()["decision"]) if answer.status_code == 200 else f"none: {answer.status_code}"


async def open_ids(house: House) -> list[str]:
    return [request.request_id for request in await house.journal.permissions()]


async def key(api: httpx.AsyncClient, owner: str | None, *scopes: str) -> str:
    body = {"name": f"key of {owner}", "scopes": list(scopes), "owner": owner}
    return str((await api.post("/api/keys", json=body)).raise_for_status().json()["key"])


async def test_a_rule_of_the_settings_answers_and_nobody_is_asked(house: House, api: httpx.AsyncClient) -> None:
    house.settings_rules = (NO_PUSH, ApprovalRule("settings:all", RuleDecision.ALLOW, tool="*"))
    house.restart()
    await house.agent()
    async with house.client() as client:
        denied = (await house.ask(PUSH)).json()
        assert denied == {"decision": "deny", "reason": "Push by hand."}
        assert await decided(house.ask(ASK)) == "allow"
        listed = (await client.get("/api/permissions?closed=1")).json()
    assert [request["verdict"]["rule_ids"] for request in listed] == [["settings:no-push"], ["settings:all"]]
    assert listed[0]["verdict"]["decided_by"] == "rule:settings:no-push"
    assert listed[0]["context"] | {"directory": ""} == {
        "agent": "ccm-aaaaaaaa",
        "project": "blog",
        "profile": "executor",
        "directory": "",
        "permission_mode": "",
        "subagent": "",
    }
    assert await house.kinds() == ["permission.decided", "permission.decided"]


async def test_a_rule_that_asks_leaves_it_to_a_person(house: House, api: httpx.AsyncClient) -> None:
    for body in ({"decision": "allow", "tool": "Bash"}, {"decision": "ask", "command": "git push *"}):
        assert (await api.post("/api/approval-rules", json=body)).status_code == 201
    await house.agent()
    assert await decided(house.ask(LINT)) == "allow"
    hook = house.ask(PUSH)
    (request,) = await house.asked()
    await api.post(f"/api/permissions/{request.request_id}", json={"decision": "deny"})
    assert await decided(hook) == "deny"


@pytest.mark.parametrize("decision", ["allow", "deny"])
async def test_an_answer_for_the_task_answers_the_same_again_and_nothing_else(
    house: House, api: httpx.AsyncClient, decision: str
) -> None:
    run = await house.agent()
    await house.agent(RUN_B)
    hook = house.ask()
    (request,) = await house.asked()
    assert request.suggested_rule == {"tool": "Bash", "command": "npm test"}
    body = {"decision": decision, "scope": "task", "reason": "as ever", "decided_by": "ada"}
    verdict = (await api.post(f"/api/agents/{run.name}/permissions", json=body)).json()["verdict"]
    assert await decided(hook) == decision and verdict["scope"] == "task"
    again = await house.ask(ASK | {"prompt_id": "2"})
    assert again.json()["decision"] == decision
    (rule,) = (await api.get("/api/approval-rules")).json()
    assert (rule["rule_id"], rule["task_id"], rule["created_by"]) == (verdict["rule_ids"][0], run.task_id, "ada")
    others = [house.ask(run_id=RUN_B), house.ask(LINT)]
    await house.asked(2)
    for request_id in await open_ids(house):
        await api.post(f"/api/permissions/{request_id}", json={"decision": "allow"})
    assert [await decided(other) for other in others] == ["allow", "allow"]


async def test_an_answer_that_makes_a_rule_answers_what_else_is_open_in_the_project(
    house: House, api: httpx.AsyncClient
) -> None:
    await house.agent()
    await house.agent(RUN_B)
    hooks = [house.ask(ASK), house.ask(LINT), house.ask(LINT, RUN_B)]
    first, *_ = await house.asked(3)
    body = {"decision": "allow", "scope": "rule", "rule": {"command": "npm *"}}
    await api.post(f"/api/permissions/{first.request_id}", json=body)
    assert [await decided(hook) for hook in hooks] == ["allow"] * 3
    (rule,) = (await api.get("/api/approval-rules")).json()
    assert (rule["command"], rule["project"], rule["tool"], rule["task_id"]) == ("npm *", "blog", None, None)


@pytest.mark.parametrize(
    ("asked", "body", "words"),
    [
        (ASK, {"rule": {"tool": "Bash"}}, "say `task` or `rule`"),
        (ASK, {"scope": "task", "updated_input": {"command": "ls"}}, "leave `scope` at `once`"),
        (ASK, {"scope": "rule", "rule": {"command": " "}}, "`command`"),
        (ASK, {"scope": "rule", "rule": {"path": "../x"}}, "`path`"),
        (ASK, {"scope": "rule", "rule": {"command": "x" * 1001}}, "1000"),
        (ASK, {"scope": "for ever"}, "body.scope"),
        (QUESTION, {"scope": "task", "answers": {"Which?": "this"}}, "answered once"),
        (QUESTION, {"scope": "rule", "decision": "deny"}, "answered once"),
        (QUESTION, {"decision": "deny", "answers": {"Which?": "this"}}, "has no answers"),
        (QUESTION, {"answers": {"What?": "this"}}, "'Which?'"),
        (QUESTION, {"answers": {}}, "'Which?'"),
    ],
)
async def test_an_answer_that_cannot_be_given_leaves_the_request_open(
    house: House, api: httpx.AsyncClient, asked: dict[str, Any], body: dict[str, Any], words: str
) -> None:
    await house.agent()
    hook = house.ask(asked)
    (request,) = await house.asked()
    response = await api.post(f"/api/permissions/{request.request_id}", json={"decision": "allow"} | body)
    assert response.status_code == 422 and words in str(response.json())
    assert not hook.done() and await house.rules.all() == [] and await open_ids(house) == [request.request_id]
    hook.cancel()


async def test_a_new_rule_answers_what_outlived_a_daemon_by_a_key(house: House, api: httpx.AsyncClient) -> None:
    run = await house.agent()
    house.terminal.of_run(run.run_id).output = DIALOG
    hook = house.ask()
    (request,) = await house.asked()
    hook.cancel()
    await asyncio.wait({hook})
    house.restart()
    async with house.client() as client:
        await client.post("/api/approval-rules", json={"decision": "allow", "command": "npm test"})
    assert house.terminal.of_run(run.run_id).pressed == [Key.YES]
    assert (await house.journal.permission(request.request_id)).status is PermissionStatus.DECIDED


async def test_rules_are_listed_in_their_order_shown_and_removed(house: House, api: httpx.AsyncClient) -> None:
    house.settings_rules = (NO_PUSH,)
    house.restart()
    async with house.client() as client:
        body = {"decision": "allow", "tool": "Bash", "project": "blog", "profile": "executor"}
        added = (await client.post("/api/approval-rules", json=body)).json()
        listed = (await client.get("/api/approval-rules")).json()
        assert [rule["rule_id"] for rule in listed] == [added["rule_id"], "settings:no-push"]
        assert (await client.get(f"/api/approval-rules/{added['rule_id'][:9]}")).json() == added
        refused = await client.delete("/api/approval-rules/settings:no-push")
        assert refused.status_code == 409 and "configuration" in refused.json()["detail"]
        assert (await client.delete(f"/api/approval-rules/{added['rule_id']}")).json() == added
        assert (await client.delete(f"/api/approval-rules/{added['rule_id']}")).status_code == 404
        entries = (await client.get("/api/audit")).json()["items"]
    assert {entry["action"] for entry in entries} >= {
        "POST /api/approval-rules",
        "DELETE /api/approval-rules/{rule_id}",
    }


@pytest.mark.parametrize(
    "body",
    [
        {"decision": "allow"},
        {"decision": "allow", "project": "blog"},
        {"decision": "maybe", "tool": "Bash"},
        {"decision": "allow", "tool": ""},
        {"decision": "allow", "path": "~/x"},
        {"decision": "allow", "command": "a\0"},
        {"decision": "allow", "tool": "Bash", "owner": "ada"},
    ],
    ids=str,
)
async def test_a_rule_that_cannot_be_is_refused(house: House, api: httpx.AsyncClient, body: dict[str, Any]) -> None:
    assert (await api.post("/api/approval-rules", json=body)).status_code == 422
    assert await house.rules.all() == []


async def test_attack_22_a_user_makes_and_sees_rules_for_its_own_tasks_alone(
    house: House, api: httpx.AsyncClient
) -> None:
    await house.agent(RUN_A, owner="ada")
    await house.agent(RUN_B, owner="bob")
    ada, bob = await key(api, "ada", "read", "approve"), await key(api, "bob", "read", "approve")
    async with house.client(ada) as of_ada, house.client(bob) as of_bob:
        body = {"decision": "allow", "tool": "*", "reason": ""}
        rule = (await of_ada.post("/api/approval-rules", json=body)).json()
        assert rule["owner"] == "ada" and rule["created_by"].startswith("key:")
        for response in (
            await of_bob.get(f"/api/approval-rules/{rule['rule_id']}"),
            await of_bob.delete(f"/api/approval-rules/{rule['rule_id']}"),
        ):
            assert response.status_code == 404
        assert (await of_bob.get("/api/approval-rules")).json() == []
        assert await decided(house.ask(run_id=RUN_A)) == "allow"
        hook = house.ask(run_id=RUN_B)
        (request,) = await house.asked()
        path = f"/api/permissions/{request.request_id}"
        for refused in (await of_ada.get(path), await of_ada.post(path, json={"decision": "allow"})):
            assert refused.status_code == 404
        assert [each["run_id"] for each in (await of_ada.get("/api/permissions?closed=1")).json()] == [RUN_A]
        answer = (await of_bob.post(path, json={"decision": "deny", "decided_by": "ada"})).json()
        assert answer["verdict"]["decided_by"].startswith("key:") and await decided(hook) == "deny"


async def test_a_key_that_may_approve_makes_no_rule_for_the_whole_machine(house: House, api: httpx.AsyncClient) -> None:
    await house.agent()
    hook = house.ask()
    (request,) = await house.asked()
    path = f"/api/permissions/{request.request_id}"
    async with house.client(await key(api, None, "read", "approve")) as client:
        for refused in (
            await client.post("/api/approval-rules", json={"decision": "allow", "tool": "*"}),
            await client.post(path, json={"decision": "allow", "scope": "rule"}),
        ):
            assert refused.status_code == 403 and "`admin`" in refused.json()["detail"]
        assert not hook.done()
        assert (await client.post(path, json={"decision": "allow", "scope": "task"})).status_code == 200
        (rule,) = await house.rules.all()
        assert (await client.delete(f"/api/approval-rules/{rule.rule_id}")).status_code == 200
    assert await decided(hook) == "allow"


async def test_a_link_out_of_the_project_is_not_inside_of_it(
    house: House, api: httpx.AsyncClient, tmp_path: Path
) -> None:
    (tmp_path / "real").mkdir()
    home = tmp_path / "project"
    home.symlink_to(tmp_path / "real")
    (home / "out").symlink_to("/etc")
    await api.post("/api/approval-rules", json={"decision": "allow", "tool": "Edit", "path": "**"})
    await house.agent(cwd=home)

    def edit(path: str) -> asyncio.Task[httpx.Response]:
        return house.ask({"tool_name": "Edit", "tool_input": {"file_path": path}})

    assert await decided(edit(f"{home}/a.py")) == "allow"
    assert await decided(edit("b.py")) == "allow"
    hooks = [edit(f"{home}/out/hosts"), edit(f"{home}/../x"), edit("/etc/hosts"), edit(f"{home}/a\0b")]
    for request in await house.asked(len(hooks)):
        await api.post(f"/api/permissions/{request.request_id}", json={"decision": "deny"})
    assert [await decided(hook) for hook in hooks] == ["deny"] * len(hooks)


FORM = {
    "dialog": "elicitation",
    "tool_name": "mcp__elicit__elicitation",
    "tool_input": {"requested_schema": {"properties": {"name": {"type": "string"}}, "required": ["name"]}},
}


async def test_a_form_is_filled_in_or_left_to_the_terminal_in_time(house: House, api: httpx.AsyncClient) -> None:
    run = await house.agent()
    hook = house.ask(FORM)
    (request,) = await house.asked()
    path = f"/api/permissions/{request.request_id}"
    for bad in ({}, {"answers": {"nick": "ada"}}, {"answers": {"name": "ada"}, "scope": "task"}):
        assert (await api.post(path, json={"decision": "allow"} | bad)).status_code == 422
    assert (await api.post(path, json={"decision": "allow", "answers": {"name": "ada"}})).status_code == 200
    assert (await hook).json()["input"]["content"] == {"name": "ada"}
    late = house.ask(FORM)
    (again,) = await house.asked()
    assert again.expires_at is not None and (again.expires_at - again.created_at).total_seconds() == 120
    house.clock.advance(121)
    house.bus.wake()
    assert (await late).status_code == 204
    assert house.terminal.of_run(run.run_id).pressed == []


@pytest.fixture
async def patient() -> House:
    house = House(Profile("patient", permission_timeout_s=60, permission_expiry=Expiry.TERMINAL))
    await house.prepare()
    return house


@pytest.mark.parametrize("restarted", [False, True])
async def test_what_expires_may_be_left_to_the_terminal(patient: House, restarted: bool) -> None:
    run = await patient.agent(profile="patient")
    window = patient.terminal.of_run(run.run_id)
    window.output = DIALOG
    hook = patient.ask()
    (request,) = await patient.asked()
    if restarted:
        hook.cancel()
        await asyncio.wait({hook})
        patient.restart()
    patient.clock.advance(61)
    patient.bus.wake()
    if restarted:
        await patient.control.expire_permissions()
    else:
        assert (await hook).status_code == 204
    settled = await patient.journal.permission(request.request_id)
    assert (settled.status, settled.on_expiry, window.pressed) == (PermissionStatus.EXPIRED, Expiry.TERMINAL, [])
    async with patient.client() as client:
        late = await client.post(f"/api/permissions/{request.request_id}", json={"decision": "allow"})
    assert late.status_code == 409


async def test_a_rule_for_the_rest_of_a_task_goes_with_the_task(house: House) -> None:
    run = await house.agent()
    kept = ApprovalRule("rule-kept", RuleDecision.ALLOW, tool="Read")
    for rule in (kept, replace(kept, rule_id="rule-task", task_id=run.task_id)):
        await house.rules.add(rule)
    await house.rules.add(replace(kept, rule_id="rule-stray", task_id="no-such-task"))
    await house.control.expire_permissions()
    assert [rule.rule_id for rule in await house.rules.all()] == ["rule-kept", "rule-task"]
    await house.store.finish(run.key, TaskResult(Outcome.SUCCEEDED))
    await house.control.expire_permissions()
    assert await house.rules.all() == [kept]
