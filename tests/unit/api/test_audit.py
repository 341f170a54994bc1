"""The audit log over HTTP: every call that changes something leaves exactly one entry, and says what it changed."""

from __future__ import annotations

import logging
from typing import Any

import httpx
import pytest

from ccm_orchestrator.api.auditing import HARMLESS
from ccm_orchestrator.api.guards import Guard, GuardedRoute
from ccm_orchestrator.api.snapshots import LOOKS, thing_named_by, told
from ccm_orchestrator.domain.audit import AuditEntry
from ccm_orchestrator.domain.caller import CallerKind
from ccm_orchestrator.errors import StoreUnavailable
from ccm_orchestrator.ports.audit import AuditQuery
from tests.api_house import API_TOKEN, INTERNAL_SECRET, RUN_A, House, token_of

TOKENS = {
    Guard.API_TOKEN: API_TOKEN,
    Guard.INTERNAL_SECRET: INTERNAL_SECRET,
    Guard.RUN_TOKEN: token_of(RUN_A),
}
KINDS = {
    Guard.API_TOKEN: CallerKind.LOCAL,
    Guard.INTERNAL_SECRET: CallerKind.INTERNAL,
    Guard.RUN_TOKEN: CallerKind.RUN,
}


def changing(house: House) -> list[GuardedRoute]:
    return [route for route in house.app.routes if isinstance(route, GuardedRoute) and route.changes_something]


def concrete(route: GuardedRoute) -> str:
    """A path that the route answers, of things that there are not, but for the run."""
    return route.path.replace("{run_id}", RUN_A).replace("{", "").replace("}", "")


async def entries(house: House) -> list[AuditEntry]:
    """Oldest first."""
    return [record.entry for record in reversed(await house.audit.read(AuditQuery(limit=1000)))]


def test_only_looking_is_harmless(house: House) -> None:
    methods = {method for route in house.app.routes for method in getattr(route, "methods", None) or ()}
    assert methods - HARMLESS and methods <= HARMLESS | {"POST", "PUT", "PATCH", "DELETE"}
    assert len(changing(house)) >= 10


def test_the_log_looks_at_whatever_a_changing_route_names(house: House) -> None:
    named = {thing[0] for route in changing(house) if (thing := thing_named_by(route.path))}
    assert named <= set(LOOKS), "say in LOOKS what the log keeps of it before and after"


async def test_attack_49_each_changing_route_leaves_exactly_one_entry_whatever_comes_of_it(house: House) -> None:
    for route in changing(house):
        for method in sorted(route.methods or ()):
            before = len(await entries(house))
            async with house.client(TOKENS[route.guard]) as client:
                response = await client.request(method, concrete(route), json={"tool_name": 1})
            assert response.status_code < 500
            (entry,) = (await entries(house))[before:]
            assert entry.action == f"{method} {route.path}"
            assert (entry.status, entry.kind) == (response.status_code, KINDS[route.guard])
            assert entry.source == "127.0.0.1" and entry.target


async def test_no_route_that_only_shows_things_leaves_an_entry(house: House, api: httpx.AsyncClient) -> None:
    await house.agent()
    shown = [route for route in house.app.routes if isinstance(route, GuardedRoute) and not route.changes_something]
    for route in shown:
        if "stream" not in route.name:
            async with house.client(TOKENS.get(route.guard)) as client:
                await client.get(concrete(route))
    assert await entries(house) == [] and len(shown) > 10


async def test_strangers_leave_no_entry(house: House) -> None:
    for token in (None, "x"):
        async with house.client(token) as stranger:
            for route in changing(house):
                for method in route.methods or ():
                    assert (await stranger.request(method, concrete(route), json={})).status_code in (401, 403)
    assert await entries(house) == []


async def test_what_a_call_makes_is_named(house: House, api: httpx.AsyncClient) -> None:
    made = await api.post("/api/tasks", json={"project": "blog", "prompt": "canary"})
    (entry,) = await entries(house)
    assert (entry.action, entry.target, entry.status) == ("POST /api/tasks", made.headers["location"], 201)
    assert entry.before is None and entry.after is not None
    assert (entry.after["task_id"], entry.after["status"]) == (made.json()["task_id"], "queued")
    assert entry.after == told(made.json()), "though it was stored before there was an answer"
    assert "canary" not in repr(entry), "texts stay where they are stored"


async def test_a_change_is_told_with_before_and_after(house: House, api: httpx.AsyncClient) -> None:
    task_id = (await api.post("/api/tasks", json={"project": "blog", "prompt": "x"})).json()["task_id"]
    await api.post(f"/api/tasks/{task_id[:8]}/stop")
    entry = (await entries(house))[-1]
    assert entry.before is not None and entry.after is not None
    assert (entry.before["task_id"], entry.before["status"]) == (task_id, "queued")
    assert (entry.after["task_id"], entry.after["status"]) == (task_id, "cancelled")


async def test_an_answer_is_told_with_who_gave_it_and_why(house: House, api: httpx.AsyncClient) -> None:
    await house.agent()
    held = house.ask()
    (request,) = await house.asked()
    body = {"decision": "deny", "reason": "not on a Friday"}
    assert (await api.post(f"/api/permissions/{request.request_id}", json=body)).status_code == 200
    await held
    by_action = {entry.action: entry for entry in await entries(house)}
    answered = by_action["POST /api/permissions/{request_id}"]
    assert answered.before is not None and answered.before["status"] == "open"
    assert answered.after is not None
    assert {name: answered.after[name] for name in ("status", "decision", "reason")} == {
        "status": "decided",
        "decision": "deny",
        "reason": "not on a Friday",
    }
    assert by_action["POST /internal/hooks/{run_id}/permission"].caller == RUN_A


async def test_the_project_that_a_new_one_replaces_is_told(house: House, api: httpx.AsyncClient, tmp_path: Any) -> None:
    await api.post("/api/projects", json={"path": str(tmp_path), "name": "shop"})
    await api.delete("/api/projects/shop")
    replaced, removed = await entries(house)
    assert replaced.before == {"name": "shop", "path": "/srv/shop", "profile": "planning"}
    assert replaced.after == {"name": "shop", "path": str(tmp_path)}
    assert (removed.before, removed.after) == ({**replaced.after, "profile": None}, None)


async def test_only_who_may_administer_reads_the_log_page_by_page(house: House, api: httpx.AsyncClient) -> None:
    for _ in range(5):
        await api.delete("/api/projects/gone")
    pages, before = list[dict[str, Any]](), None
    while not pages or before is not None:
        query = {"limit": 2, **({"before": before} if before else {})}
        pages.append((await api.get("/api/audit", params=query)).json())
        before = pages[-1]["next_before"]
    seqs = [item["seq"] for page in pages for item in page["items"]]
    assert seqs == [5, 4, 3, 2, 1]
    async with house.client(None) as stranger:
        assert (await stranger.get("/api/audit")).status_code == 401


@pytest.mark.parametrize("query", [{"limit": 0}, {"limit": 501}, {"before": -1}, {"before": "x"}, {"before": 2**64}])
async def test_a_page_that_cannot_be_is_refused(api: httpx.AsyncClient, query: dict[str, Any]) -> None:
    assert (await api.get("/api/audit", params=query)).status_code == 422


async def test_entries_are_found_by_what_was_done_and_to_what(house: House, api: httpx.AsyncClient) -> None:
    await api.delete("/api/projects/gone")
    await api.post("/api/tasks/abcd/stop")
    counts = {("action", "stop"): 1, ("target", "gone"): 1, ("caller", "local"): 2, ("caller", "x"): 0}
    for (name, value), found in counts.items():
        assert len((await api.get("/api/audit", params={name: value})).json()["items"]) == found


async def test_a_log_that_cannot_be_written_stops_no_one_and_is_complained_of(
    house: House, api: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def full(_entry: AuditEntry) -> None:
        raise StoreUnavailable("The disk is full.")

    monkeypatch.setattr(house.audit, "record", full)
    with caplog.at_level(logging.ERROR):
        response = await api.post("/api/tasks", json={"project": "blog", "prompt": "x"})
        await api.delete("/api/projects/a%0AERROR forged")
    assert response.status_code == 201
    assert "The disk is full" in caplog.text and response.json()["task_id"] in caplog.text
    assert "forged" in caplog.text and "\nERROR forged" not in caplog.text, "a path forges no line"
