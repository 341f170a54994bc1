"""Every list that may grow is read page by page, in the same way."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import timedelta
from types import UnionType
from typing import Any, get_args, get_origin

import httpx
import pytest

from ccm_orchestrator.api.app import bare_app
from ccm_orchestrator.api.guards import Guard, GuardedRoute
from ccm_orchestrator.domain.dialogue import PermissionRequest, PermissionStatus
from ccm_orchestrator.domain.incidents import IncidentKind, Opening, Trouble
from ccm_orchestrator.domain.notices import Level, Notice, NoticeEvent
from ccm_orchestrator.domain.session import SpawnWish, TurnWish
from ccm_orchestrator.ports.notices import Intake
from tests.api_house import RUN_A, RUN_B, House

SMALL = {
    "/api/approval-rules": "people write them one by one",
    "/api/keys": "people make them one by one",
    "/api/profiles": "as many as the configuration has",
    "/api/projects": "people register them one by one",
    "/api/systems": "as many as there are machines",
}
"""Lists that are answered whole, and why that is no risk."""

GROWING: Mapping[str, Mapping[str, Any]] = {
    "/api/agents": {"ended": "true"},
    "/api/agents/{agent}/messages": {},
    "/api/agents/{agent}/permissions": {"closed": "true"},
    "/api/audit": {},
    "/api/incidents": {},
    "/api/notifications": {},
    "/api/events/stored": {},
    "/api/permissions": {"closed": "true"},
    "/api/tasks": {"status": ["queued", "running"]},
    "/api/tasks/{task_id}/events": {},
    "/sessions": {},
    "/sessions/{session_id}/turns": {},
}
"""Lists that `filled` fills with more than two entries, and what to ask for so that all are seen."""


def list_routes() -> Iterator[GuardedRoute]:
    for route in bare_app().routes:
        if isinstance(route, GuardedRoute) and "GET" in (route.methods or ()) and route.guard is Guard.API_TOKEN:
            kind: Any = route.response_model
            if get_origin(kind) is UnionType:
                kind = get_args(kind)[0]
            if get_origin(kind) is list or {"next_before", "next_after"} & getattr(kind, "model_fields", {}).keys():
                yield route


def test_every_list_is_paged_or_small_for_a_reason() -> None:
    found = {route.path for route in list_routes()}
    assert {"/api/tasks", "/api/agents", "/api/projects"} <= found
    assert found - SMALL.keys() - GROWING.keys() == set(), "page it with `api.paging`, and fill it here"
    for route in list_routes():
        names = {parameter.name for parameter in route.dependant.query_params}
        assert (route.path in SMALL) or ("limit" in names and names & {"after", "before"}), route.path


async def filled(house: House, api: httpx.AsyncClient) -> None:
    runs = [await house.agent(RUN_A), await house.agent(RUN_B), await house.agent("c" * 32)]
    for n in range(5):
        trouble = Trouble(IncidentKind.AGENT_LOST, f"task {n}", "sweep", "Its process is gone.")
        await house.incidents.apply([Opening(trouble, house.clock.now())])
        notice = Notice(
            "phone", f"t{n}", NoticeEvent.FAILED, Level.INFO, "T", "B", house.clock.now(), house.clock.now()
        )
        await house.notices.take_in(Intake([notice]), timedelta())
        await house.journal.add_message(RUN_A, f"message {n}")
        request = PermissionRequest(
            f"perm-{n}", RUN_A, runs[0].task_id, "permission", "Bash", {}, (), PermissionStatus.OPEN, house.clock.now()
        )
        await house.journal.add_permission(request)
        status = "stop" if n % 2 else "retry"
        await api.post(f"/api/tasks/{runs[0].task_id}/{status}")
    for n in range(2):
        await api.post("/api/tasks", json={"project": "blog", "prompt": f"Task {n}"})
        task = (await api.post("/api/tasks", json={"project": "blog", "prompt": f"Task {n}"})).json()
        await api.post(f"/api/tasks/{task['task_id']}/stop")
        await api.post(f"/api/tasks/{task['task_id']}/retry")
    for n in range(3):
        await converse(house, api, f"question {n}")


async def converse(house: House, api: httpx.AsyncClient, prompt: str) -> None:
    """A session of three turns that are ended at once, so that the queue stays small."""
    sessions = house.app.state.services.sessions
    begun = await sessions.spawn(SpawnWish(TurnWish(prompt), "agent", "blog", "", False), None, None)
    await api.post(f"/api/tasks/{begun.task.task_id}/stop")
    for _ in range(2):
        begun = await sessions.message(begun.session.session_id, TurnWish("more"), None)
        await api.post(f"/api/tasks/{begun.task.task_id}/stop")


async def address(api: httpx.AsyncClient, path: str) -> str:
    newest = (await api.get("/api/tasks", params={"limit": 1, "status": "queued"})).json()["items"][0]
    session = (await api.get("/sessions", params={"limit": 1})).json()["sessions"][0]
    return path.format(agent=RUN_A, task_id=newest["task_id"], session_id=session["session_id"])


def items_of(answer: httpx.Response) -> list[dict[str, Any]]:
    assert answer.status_code == 200, answer.text
    body = answer.json()
    found: list[dict[str, Any]] = (
        body["sessions" if "sessions" in body else "items"] if isinstance(body, dict) else body
    )
    return found


@pytest.mark.parametrize("path", sorted(GROWING))
@pytest.mark.parametrize("limit", [1, 2])
async def test_pages_make_up_the_whole_list(house: House, api: httpx.AsyncClient, path: str, limit: int) -> None:
    await filled(house, api)
    url = await address(api, path)
    whole = items_of(await api.get(url, params=GROWING[path]))
    assert len(whole) > 2
    answer = await api.get(url, params={**GROWING[path], "limit": limit})
    pages = [items_of(answer)]
    while "next" in answer.links:
        assert answer.links["next"]["url"].startswith(f"{url}?")
        answer = await api.get(answer.links["next"]["url"])
        pages.append(items_of(answer))
    if path.endswith("/messages"):
        pages.reverse()  # the newest come first, in the order in which they were sent
    assert [item for page in pages for item in page] == whole
    assert max(len(page) for page in pages) == limit


@pytest.mark.parametrize("path", sorted(GROWING))
@pytest.mark.parametrize(
    "params",
    [{"limit": "0"}, {"limit": "5000"}, {"limit": "x"}, {"before": "\x00"}, {"after": "zzzz"}, {"before": "zz"}],
)
async def test_a_cursor_that_is_none_is_said_to_be(
    house: House, api: httpx.AsyncClient, path: str, params: dict[str, str]
) -> None:
    await filled(house, api)
    url = await address(api, path)
    answer = await api.get(url, params=params)
    assert answer.status_code < 500
    if "limit" in params:
        assert answer.status_code == 422


async def test_the_address_of_the_next_page_has_no_host(house: House, api: httpx.AsyncClient) -> None:
    await filled(house, api)
    answer = await api.get("/api/tasks?limit=1&tag=%3Cb%3E", headers={"X-Forwarded-Host": "evil.example"})
    assert "link" not in answer.headers
    answer = await api.get("/api/tasks?project=blog&limit=1", headers={"X-Forwarded-Host": "evil.example"})
    assert answer.headers["link"].startswith("</api/tasks?project=blog&limit=1&before=")


async def test_agents_are_filtered(house: House, api: httpx.AsyncClient) -> None:
    await house.agent(RUN_A)
    other = await house.agent(RUN_B, profile="brain")
    await house.journal.save_run(replace(other, project="shop"), 0)

    async def runs(**params: str) -> list[str]:
        return [agent["run_id"] for agent in (await api.get("/api/agents", params=params)).json()]

    assert await runs() == [RUN_B, RUN_A]
    assert await runs(project="shop") == await runs(profile="brain") == [RUN_B]
    assert await runs(before=RUN_B[:6]) == [RUN_A]
