"""Tasks over HTTP: stored before they are accepted, listed, stopped, retried."""

from __future__ import annotations

import json

import httpx
import pytest

from ccm_orchestrator.domain.result import Failure, FailureKind, Outcome, TaskResult
from ccm_orchestrator.domain.task import MAX_PROMPT_BYTES, Hold, HoldReason, TaskStatus
from ccm_orchestrator.ports.tasks import Release, ReleaseKind
from tests.api_house import House


async def add(api: httpx.AsyncClient, **fields: object) -> httpx.Response:
    return await api.post("/api/tasks", json={"project": "blog", "prompt": "Fix the test", **fields})


async def test_an_accepted_task_is_stored_and_announced(house: House, api: httpx.AsyncClient) -> None:
    response = await add(api, priority=7, tags=["ci"], time_limit_s=60)
    assert response.status_code == 201
    body = response.json()
    assert response.headers["location"] == f"/api/tasks/{body['task_id']}"
    task = await house.store.get(body["task_id"])
    assert (task.status, task.priority, task.tags, task.source) == (TaskStatus.QUEUED, 7, ("ci",), "api")
    assert await house.kinds() == ["task.created"]
    assert house.pokes == 0  # no run is concerned, and the store itself wakes whoever claims
    assert (await api.get(f"/api/tasks/{body['task_id'][:8]}")).json() == body


@pytest.mark.parametrize(("project", "profile"), [("shop", "planning"), ("blog", "executor")])
async def test_a_task_without_a_profile_gets_its_projects(api: httpx.AsyncClient, project: str, profile: str) -> None:
    assert (await add(api, project=project)).json()["profile"] == profile


async def test_a_named_profile_wins(api: httpx.AsyncClient) -> None:
    assert (await add(api, project="shop", profile="brain")).json()["profile"] == "brain"


@pytest.mark.parametrize(
    ("fields", "problem", "words"),
    [
        ({"prompt": "  \n"}, "invalid-task", "The prompt is empty"),
        ({"project": "nowhere"}, "unknown-project", "There is no project named 'nowhere'"),
        ({"profile": "wizard"}, "unknown-profile", "'wizard' is not configured; there are: brain, executor, planning"),
        ({"after": ["ffff"]}, "unknown-dependency", "'ffff', which does not exist"),
        ({"max_attempts": 0}, "invalid-task", "Expected `max_attempts` to be from 1 to 20, got: 0"),
        ({"time_limit_s": -1}, "invalid-task", "Expected `time_limit_s`"),
        ({"prompt": 7}, "invalid-request", "body.prompt: Input should be a valid string"),
        ({"colour": "red"}, "invalid-request", "body.colour: Extra inputs are not permitted"),
        ({"run_after": "2026-01-01T00:00:00"}, "invalid-request", "body.run_after"),
        ({"tags": ["x" * 201]}, "invalid-request", "body.tags.0"),
    ],
)
async def test_bad_input_gets_one_clear_sentence_and_stores_nothing(
    house: House, api: httpx.AsyncClient, fields: dict[str, object], problem: str, words: str
) -> None:
    response = await add(api, **fields)
    assert response.status_code == 422
    assert response.headers["content-type"] == "application/problem+json"
    body = response.json()
    assert body["type"] == f"urn:ccm-orchestrator:problem:{problem}"
    assert words in body["detail"]
    assert sum((await house.store.counts()).values()) == 0
    assert await house.kinds() == []


@pytest.mark.parametrize("body", ["", "{", "[1,2", '{"project": "blog", "prompt": "x"} tail', "[" * 100_000])
async def test_unreadable_json_is_refused(api: httpx.AsyncClient, body: str) -> None:
    response = await api.post("/api/tasks", content=body, headers={"Content-Type": "application/json"})
    assert response.status_code in (400, 422)
    assert response.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("figure", ["NaN", "Infinity", "-Infinity", "1e999"])
async def test_figures_that_are_none_are_refused(api: httpx.AsyncClient, figure: str) -> None:
    text = f'{{"project": "blog", "prompt": "x", "time_limit_s": {figure}}}'
    response = await api.post("/api/tasks", content=text, headers={"Content-Type": "application/json"})
    assert response.status_code == 422
    assert "finite" in response.json()["detail"]


async def test_half_a_character_is_refused(api: httpx.AsyncClient) -> None:
    text = '{"project": "blog", "prompt": "\\ud800"}'
    response = await api.post("/api/tasks", content=text, headers={"Content-Type": "application/json"})
    assert response.status_code == 422


async def test_a_prompt_of_4_mb_of_any_text_is_kept_whole(house: House, api: httpx.AsyncClient) -> None:
    prompt = "é\x01\n" * (MAX_PROMPT_BYTES // 4)
    text = json.dumps({"project": "blog", "prompt": prompt})
    assert len(text) > len(prompt.encode())
    response = await api.post("/api/tasks", content=text, headers={"Content-Type": "application/json"})
    assert response.status_code == 201
    assert (await house.store.get(response.json()["task_id"])).prompt == prompt


async def test_a_prompt_over_4_mb_is_refused(api: httpx.AsyncClient) -> None:
    response = await add(api, prompt="x" * (MAX_PROMPT_BYTES + 1))
    assert response.status_code == 422
    assert "put the material in a file" in response.json()["detail"]


async def test_a_full_queue_is_said_with_when_to_come_back(house: House, api: httpx.AsyncClient) -> None:
    for _ in range(5):
        assert (await add(api)).status_code == 201
    response = await add(api)
    assert response.status_code == 429
    assert int(response.headers["retry-after"]) > 0
    assert response.json()["facts"] == {"queued": 5, "limit": 5}


async def test_the_same_idempotency_key_makes_one_task_for_ever(house: House, api: httpx.AsyncClient) -> None:
    api.headers["Idempotency-Key"] = "build 17 / nightly"
    first, again = await add(api), await add(api)
    assert (first.status_code, again.status_code) == (201, 200)
    await api.post(f"/api/tasks/{first.json()['task_id']}/stop")
    ended = await add(api)
    assert {response.json()["task_id"] for response in (first, again, ended)} == {first.json()["task_id"]}
    assert await house.kinds() == ["task.created", "task.cancelled"]


async def test_an_idempotency_key_does_not_stand_for_two_wishes(api: httpx.AsyncClient) -> None:
    api.headers["Idempotency-Key"] = "k"
    await add(api)
    response = await add(api, prompt="Something else")
    assert response.status_code == 409
    assert "asks for something else" in response.json()["detail"]


async def test_a_dedup_key_returns_the_task_that_has_not_ended(api: httpx.AsyncClient) -> None:
    first, again = await add(api, dedup_key="nightly"), await add(api, dedup_key="nightly")
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json()["task_id"] == again.json()["task_id"]


async def test_lists_are_paged_newest_first_and_leave_large_texts_out(house: House, api: httpx.AsyncClient) -> None:
    made = [(await add(api, prompt=f"\n  Task {n} {'x' * 300}\nmore")).json()["task_id"] for n in range(5)]
    found, before = [], None
    while True:
        page = (await api.get("/api/tasks", params={"limit": 2} | ({"before": before} if before else {}))).json()
        found += page["items"]
        before = page["next_before"]
        if before is None:
            break
    assert [task["task_id"] for task in found] == made[::-1]
    assert found[0]["title"].startswith("Task 4 xxx") and len(found[0]["title"]) == 120
    assert "prompt" not in found[0] and "result" not in found[0]


async def test_lists_are_filtered(api: httpx.AsyncClient) -> None:
    kept = (await add(api, tags=["ci"])).json()["task_id"]
    await add(api, project="shop", tags=["ci"])
    gone = (await add(api)).json()["task_id"]
    await api.post(f"/api/tasks/{gone}/stop")

    async def ids(**params: str | list[str]) -> list[str]:
        return [task["task_id"] for task in (await api.get("/api/tasks", params=params)).json()["items"]]

    assert await ids(project="blog", tag="ci") == [kept]
    assert await ids(status="cancelled") == [gone]
    assert len(await ids(status=["queued", "cancelled"])) == 3
    assert (await api.get("/api/tasks", params={"status": "lost"})).status_code == 422
    assert (await api.get("/api/tasks", params={"before": "ffffffff"})).status_code == 404


async def test_a_queued_task_is_stopped_at_once_and_can_be_retried(house: House, api: httpx.AsyncClient) -> None:
    task_id = (await add(api)).json()["task_id"]
    stopped = await api.post(f"/api/tasks/{task_id}/stop")
    assert (stopped.status_code, stopped.json()["status"]) == (202, "cancelled")
    assert (await api.post(f"/api/tasks/{task_id}/stop")).status_code == 409
    retried = await api.post(f"/api/tasks/{task_id}/retry")
    assert (retried.status_code, retried.json()["status"]) == (200, "queued")
    assert await house.kinds() == ["task.created", "task.cancelled", "task.queued"]
    assert house.pokes == 2


async def test_a_running_task_is_flagged_and_ends_when_its_agent_has(house: House, api: httpx.AsyncClient) -> None:
    run = await house.agent()
    stopped = (await api.post(f"/api/tasks/{run.task_id}/stop")).json()
    assert stopped["status"] == "running" and stopped["cancel_requested_at"] is not None
    assert await house.kinds() == []


async def test_a_held_task_is_released(house: House, api: httpx.AsyncClient) -> None:
    run = await house.agent()
    hold = Hold(HoldReason.BUDGET, "The budget is spent.")
    await house.store.release(run.key, Release(ReleaseKind.VOLUNTARY, "", hold=hold))
    assert (await api.get(f"/api/tasks/{run.task_id}")).json()["hold"]["reason"] == "budget"
    assert (await api.post(f"/api/tasks/{run.task_id}/release")).json()["status"] == "queued"
    assert (await api.post(f"/api/tasks/{run.task_id}/release")).status_code == 409


async def test_a_result_is_shown_whole_for_a_task_and_short_in_a_list(house: House, api: httpx.AsyncClient) -> None:
    run = await house.agent()
    failure = Failure(FailureKind.AGENT_ERROR, "The test still fails.")
    await house.store.finish(run.key, TaskResult(Outcome.FAILED, "I tried.", failure, duration_s=3.5, attempt=1))
    whole = (await api.get(f"/api/tasks/{run.task_id}")).json()
    assert whole["result"]["text"] == "I tried."
    assert whole["result"]["failure"] == {"kind": "agent_error", "message": "The test still fails.", "resets_at": None}
    (brief,) = (await api.get("/api/tasks")).json()["items"]
    assert brief["ended"]["failure_kind"] == "agent_error" and brief["agent"] == run.name


async def test_events_of_a_task_are_read_on_by_cursor(house: House, api: httpx.AsyncClient) -> None:
    task_id = (await add(api)).json()["task_id"]
    await add(api)
    await api.post(f"/api/tasks/{task_id}/stop")
    first = (await api.get(f"/api/tasks/{task_id}/events", params={"limit": 1})).json()
    rest = (await api.get(f"/api/tasks/{task_id}/events", params={"after": first["next_after"]})).json()
    assert [event["kind"] for event in first["items"] + rest["items"]] == ["task.created", "task.cancelled"]
    end = (await api.get(f"/api/tasks/{task_id}/events", params={"after": rest["next_after"]})).json()
    assert end == {"items": [], "next_after": rest["next_after"]}


@pytest.mark.parametrize("path", ["", "/events", "/stop", "/retry", "/release"])
async def test_an_unknown_task_is_not_found(api: httpx.AsyncClient, path: str) -> None:
    method = "GET" if path in ("", "/events") else "POST"
    response = await api.request(method, f"/api/tasks/ffffffff{path}")
    assert response.status_code == 404
    assert response.json()["type"] == "urn:ccm-orchestrator:problem:task-not-found"
