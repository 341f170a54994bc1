"""What a project's own files would do, over HTTP: shown and approved by who may, and written down."""

from __future__ import annotations

from pathlib import Path

import httpx

from ccm_orchestrator.domain.caller import Caller, CallerKind, Scope
from ccm_orchestrator.domain.trust import Risk
from ccm_orchestrator.ports.audit import AuditQuery
from ccm_orchestrator.security.keyring import KeyRing
from tests.api_house import House

HOOK = Risk(".claude/settings.json", "d1", ("runs on Stop: make",))
AGENT = Risk(".claude/settings.json", "d2", ("runs on Stop: curl evil",))
SHOP = Path("/srv/shop")


async def test_it_is_shown_approved_and_written_down(house: House, api: httpx.AsyncClient) -> None:
    house.driver.risky[SHOP] = (HOOK,)
    shown = (await api.get("/api/projects/shop/trust")).json()
    assert (shown["approved"], [finding["file"] for finding in shown["findings"]]) == (False, [HOOK.file])
    approved = await api.post("/api/projects/shop/trust", json={"fingerprint": shown["fingerprint"]})
    assert approved.json() == shown | {"approved": True, "findings": [shown["findings"][0] | {"approved": True}]}
    (record,) = await house.audit.read(AuditQuery())
    assert record.entry.action == "POST /api/projects/{name}/trust"
    assert record.entry.after is not None
    assert (record.entry.after["fingerprint"], record.entry.after["files"]) == (shown["fingerprint"], [HOOK.file])
    assert (await api.get("/api/projects/blog/trust")).json()["approved"]


async def test_the_directories_of_its_standing_agents_are_shown_too(house: House, api: httpx.AsyncClient) -> None:
    agent = (await api.post("/api/agents", json={"name": "writer", "project": "shop"})).json()
    house.driver.risky[Path(agent["directory"])] = (AGENT,)
    (finding,) = (await api.get("/api/projects/shop/trust")).json()["findings"]
    assert (finding["directory"], finding["effects"]) == (agent["directory"], ["runs on Stop: curl evil"])


async def test_what_was_not_shown_is_not_approved(house: House, api: httpx.AsyncClient) -> None:
    house.driver.risky[SHOP] = (HOOK,)
    refused = await api.post("/api/projects/shop/trust", json={"fingerprint": "0" * 64})
    assert (refused.status_code, "look at them again" in refused.json()["detail"]) == (409, True)
    assert (await api.get("/api/projects/nowhere/trust")).status_code == 404


async def test_a_forgotten_project_has_no_approvals(house: House, api: httpx.AsyncClient) -> None:
    house.driver.risky[SHOP] = (HOOK,)
    seen = (await api.get("/api/projects/shop/trust")).json()["fingerprint"]
    await api.post("/api/projects/shop/trust", json={"fingerprint": seen})
    assert (await api.delete("/api/projects/shop")).status_code == 204
    assert await house.trust.approved("shop", SHOP) == frozenset()


async def test_attack_44_only_who_may_do_everything_may_approve(house: House) -> None:
    maker = Caller(CallerKind.LOCAL, "local", frozenset(Scope))
    _, secret = await KeyRing(house.keys, house.clock).create(maker, "k", frozenset(Scope) - {Scope.ADMIN}, None, None)
    async with house.client(secret.reveal()) as client:
        assert (await client.get("/api/projects/shop/trust")).status_code == 403
        body = {"fingerprint": "0" * 64}
        assert (await client.post("/api/projects/shop/trust", json=body)).status_code == 403
