"""Who calls: the machine's own token, API keys with their scopes, users of the Supabase project."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import httpx
import pytest

from ccm_orchestrator.domain.caller import Scope
from ccm_orchestrator.errors import StoreError
from ccm_orchestrator.security.jwks import read_keys
from ccm_orchestrator.security.user_tokens import UserTokens
from tests.api_house import House, routes
from tests.signing import ISSUER, claims, jwk_set, signed
from tests.unit.security.test_user_tokens import Known

SCOPES = tuple(Scope)


async def make_key(api: httpx.AsyncClient, *scopes: str, **more: Any) -> dict[str, Any]:
    response = await api.post("/api/keys", json={"name": "build server", "scopes": list(scopes)} | more)
    assert response.status_code == 201, response.text
    made: dict[str, Any] = response.json()
    return made


async def test_a_key_opens_what_its_scopes_say(house: House, api: httpx.AsyncClient) -> None:
    key = await make_key(api, "read")
    async with house.client(key["key"]) as program:
        assert (await program.get("/api/tasks")).status_code == 200
        refused = await program.post("/api/tasks", json={"project": "blog", "prompt": "x"})
    assert refused.status_code == 403 and "scope `submit`" in refused.json()["detail"]
    assert key["prefix"] in refused.json()["detail"] and key["key"] not in refused.text
    async with house.client(None, **{"X-API-Key": key["key"]}) as program:
        assert (await program.get("/api/tasks")).status_code == 200


@pytest.mark.parametrize("scope", SCOPES)
async def test_attack_9_each_route_wants_exactly_the_scope_that_it_declares(
    house: House, api: httpx.AsyncClient, scope: Scope
) -> None:
    """Without the scope 403; with it something else: the requests are empty, so that nothing happens."""
    key = await make_key(api, scope)
    async with house.client(key["key"]) as program:
        for route in routes(house):
            if route.guard != "api_token" or route.path == "/api/events":
                continue
            path = route.path.replace("{", "").replace("}", "")
            for method in route.methods or ():
                status = (await program.request(method, path, content=b"x")).status_code
                allowed = scope in (route.scope_needed, Scope.ADMIN)
                assert (status != 403) is allowed, (method, path, status)


async def test_a_key_is_shown_once_and_kept_nowhere(house: House, api: httpx.AsyncClient) -> None:
    made = await make_key(api, "read")
    listed = (await api.get("/api/keys")).json()
    assert [each["prefix"] for each in listed] == [made["prefix"]] and "key" not in listed[0]
    assert made["key"].startswith(made["prefix"] + "_") and made["key"] not in str(vars(house.keys))
    written = str((await api.get("/api/audit")).json())
    assert made["prefix"] in written and made["key"] not in written


async def test_a_key_ends_by_itself_and_by_hand(house: House, api: httpx.AsyncClient) -> None:
    until = (house.clock.now() + timedelta(hours=1)).isoformat()
    ending, revoked = await make_key(api, "read", name="a", expires_at=until), await make_key(api, "read", name="b")
    async with house.client(ending["key"]) as first, house.client(revoked["key"]) as second:
        assert (await first.get("/api/tasks")).status_code == (await second.get("/api/tasks")).status_code == 200
        assert (await api.delete("/api/keys/b")).status_code == 204
        assert (await second.get("/api/tasks")).status_code == 401
        house.clock.advance(3600)
        answer = await first.get("/api/tasks")
    assert answer.status_code == 401 and "expired" in answer.json()["detail"]
    assert [each["works"] for each in (await api.get("/api/keys")).json()] == [False, False]


async def test_attack_33_both_keys_are_accepted_during_rotation_and_the_old_one_refused_after(
    house: House, api: httpx.AsyncClient
) -> None:
    old = await make_key(api, "read", "submit", owner="anna")
    new = (await api.post(f"/api/keys/{old['prefix']}/rotate", json={"overlap_s": 60})).json()
    assert (new["name"], new["scopes"], new["owner"]) == (old["name"], old["scopes"], "anna")
    async with house.client(old["key"]) as before, house.client(new["key"]) as after:
        assert (await before.get("/api/tasks")).status_code == (await after.get("/api/tasks")).status_code == 200
        house.clock.advance(60)
        assert (await before.get("/api/tasks")).status_code == 401
        assert (await after.get("/api/tasks")).status_code == 200


async def test_its_last_use_is_known_to_the_minute(house: House, api: httpx.AsyncClient) -> None:
    key = await make_key(api, "read")
    used = []
    async with house.client(key["key"]) as program:
        for _ in range(3):
            await program.get("/api/tasks")
            used.append((await api.get("/api/keys")).json()[0]["last_used_at"])
            house.clock.advance(45)
    assert used[0] == used[1] != used[2]


async def test_a_disk_that_is_full_keeps_no_key_out(
    house: House, api: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = await make_key(api, "read")

    async def full(*_: object) -> None:
        raise StoreError("The disk is full.")

    monkeypatch.setattr(house.keys, "used", full)
    async with house.client(key["key"]) as program:
        assert (await program.get("/api/tasks")).status_code == 200


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"name": "", "scopes": ["read"]}, "name of a key"),
        ({"name": "a\nb", "scopes": ["read"]}, "name of a key"),
        ({"name": "x" * 101, "scopes": ["read"]}, "body.name"),
        ({"name": "x", "scopes": []}, "body.scopes"),
        ({"name": "x", "scopes": ["root"]}, "body.scopes.0"),
        ({"name": "x", "scopes": ["admin"], "owner": "anna"}, "cannot have the scope `admin`"),
        ({"name": "x", "scopes": ["read"], "expires_at": "2020-01-01T00:00:00Z"}, "in the future"),
        ({"name": "x", "scopes": ["read"], "expires_at": "2020-01-01T00:00:00"}, "body.expires_at"),
    ],
)
async def test_a_key_that_cannot_be_made_is_refused_in_one_sentence(
    api: httpx.AsyncClient, body: dict[str, Any], words: str
) -> None:
    response = await api.post("/api/keys", json=body)
    assert response.status_code == 422 and words in response.json()["detail"]
    assert (await api.get("/api/keys")).json() == []


@pytest.mark.parametrize("ref", ["nobody", "ccm_", "%00", "x" * 5000])
async def test_a_key_that_is_not_there(api: httpx.AsyncClient, ref: str) -> None:
    assert (await api.delete(f"/api/keys/{ref}")).status_code == 404
    assert (await api.post(f"/api/keys/{ref}/rotate", json={})).status_code == 404


async def test_a_changed_key_is_no_key(house: House, api: httpx.AsyncClient) -> None:
    key = (await make_key(api, "read"))["key"]
    for wrong in (key[:-1], key + "x", key.upper(), key[:12], key[:-1] + ("a" if key[-1] != "a" else "b")):
        async with house.client(wrong) as program:
            assert (await program.get("/api/tasks")).status_code == 401


@pytest.fixture
async def users(house: House) -> UserTokens:
    """Users of the project may look and hand in."""
    house.users = UserTokens(ISSUER, "authenticated", Known(), frozenset({Scope.READ, Scope.SUBMIT}), {})
    house.restart()
    return house.users


async def test_a_user_of_the_project_calls_with_a_token_of_the_project(house: House, users: UserTokens) -> None:
    async with house.client(signed()) as anna:
        assert (await anna.get("/api/tasks")).status_code == 200
        assert (await anna.get("/api/keys")).status_code == 403
        task = (await anna.post("/api/tasks", json={"project": "blog", "prompt": "x"})).json()
        assert (await anna.post(f"/api/tasks/{task['task_id']}/stop")).status_code == 403
    async with house.client(signed(claims(exp=1))) as late:
        refused = await late.get("/api/tasks")
    assert refused.status_code == 401 and "has expired" in refused.json()["detail"]


async def test_without_users_in_the_settings_no_user_is_known(house: House) -> None:
    async with house.client(signed()) as anna:
        assert (await anna.get("/api/tasks")).status_code == 401


@pytest.mark.parametrize("path", ["/docs", "/redoc", "/openapi.json", "/debug", "/", "/api", "/ws/"])
async def test_attack_9_nothing_is_shown_that_was_not_declared(house: House, path: str) -> None:
    for token in (None, "x"):
        async with house.client(token) as stranger:
            assert (await stranger.get(path)).status_code == 404


async def test_attack_11_every_answer_tells_browsers_to_keep_and_run_nothing(house: House) -> None:
    async with house.client("x") as stranger, house.client() as local:
        for answer in (await stranger.get("/api/tasks"), await local.get("/api/tasks"), await local.get("/nowhere")):
            assert answer.headers["cache-control"] == "no-store"
            assert answer.headers["x-content-type-options"] == "nosniff"
            policy = answer.headers["content-security-policy"]
            assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy


def test_the_projects_keys_are_three_of_three() -> None:
    assert set(read_keys(jwk_set())) == {"ec", "rsa", "ed"}
