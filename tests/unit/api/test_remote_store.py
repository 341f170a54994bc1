"""The API of a machine that serves a second task store, which is somewhere else."""

from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from ccm_orchestrator.adapters.supabase.health import StoreState, SupabaseHealth
from ccm_orchestrator.ports.systems import SystemInfo
from ccm_orchestrator.ports.tasks import Project
from tests.api_house import House
from tests.unit.engine.elsewhere import AWAY, Elsewhere

SINCE = datetime(2026, 1, 1, tzinfo=UTC)
TASK = {"project": "demo", "prompt": "Do it there.", "store": "supabase"}


@pytest.fixture
async def there(house: House, tmp_path: Path) -> Elsewhere:
    store = Elsewhere(house.clock)
    await store.add_project(Project("demo", tmp_path))
    house.remotes = [store.queue()]
    house.supabase_health = lambda: SupabaseHealth(StoreState.LIVE, SINCE, subscriber="live")
    house.restart()
    return store


async def test_a_task_goes_where_it_is_meant_to_and_is_found_there(there: Elsewhere, house: House) -> None:
    async with house.client() as api:
        made = await api.post("/api/tasks", json=TASK)
        assert made.status_code == 201
        task_id = made.json()["task_id"]
        assert (await api.get(f"/api/tasks/{task_id}")).json()["prompt"] == "Do it there."
        assert (await api.get("/api/tasks")).json()["items"] == []
        listed = (await api.get("/api/tasks", params={"store": "supabase"})).json()["items"]
        assert [task["task_id"] for task in listed] == [task_id]
        assert (await api.post(f"/api/tasks/{task_id}/stop")).json()["status"] == "cancelled"
        assert (await api.post(f"/api/tasks/{task_id}/retry")).json()["status"] == "queued"


async def test_a_store_that_is_away_is_said_to_be_away_and_hides_nothing_of_the_other(
    there: Elsewhere, house: House
) -> None:
    there.trouble = AWAY
    async with house.client() as api:
        unknown = await api.get("/api/tasks/whatever")
        assert (unknown.status_code, unknown.json()["detail"]) == (503, AWAY.message)
        assert (await api.get("/api/tasks")).status_code == 200


async def test_an_unknown_store_is_refused_with_those_there_are(there: Elsewhere, house: House) -> None:
    async with house.client() as api:
        refused = await api.post("/api/tasks", json=TASK | {"store": "mongo"})
    assert refused.status_code == 422
    assert refused.json()["detail"] == "There is no task store 'mongo' here; there are: local, supabase."


async def test_draining_says_which_store_was_not_told(there: Elsewhere, house: House) -> None:
    await house.store.register_system(SystemInfo("desk", "Desk", "1.2.3", 4), "boot")
    there.trouble = AWAY
    async with house.client() as api:
        answer = await api.post("/api/systems/desk/drain", json={})
    assert answer.status_code == 503
    assert answer.json()["detail"] == f"{AWAY.message} What else serves desk was told; repeat this later."
    assert [system.draining for system in await house.store.systems()] == [True]


@pytest.mark.parametrize(("state", "status"), [("live", 200), ("degraded", 200), ("away", 503), ("refused", 503)])
async def test_its_health_is_told_in_full_to_friends_only(
    there: Elsewhere, house: House, state: str, status: int
) -> None:
    health = SupabaseHealth(StoreState(state), SINCE, last_error="The key was revoked.", clock_skew_s=-3600.0)
    house.supabase_health = lambda: health
    house.restart()
    async with house.client() as api, house.client(None) as stranger:
        told, open_ = await api.get("/health/supabase"), await stranger.get("/health/supabase")
        assert (told.status_code, open_.status_code) == (status, status)
        assert told.json()["last_error"] == "The key was revoked."
        assert "ahead of" in told.json()["warnings"][0]
        assert (open_.json()["state"], open_.json()["last_error"], open_.json()["warnings"]) == (state, "", [])
        assert (await api.get("/api/status")).json()["supabase"]["state"] == state


async def test_without_one_it_is_off(api: httpx.AsyncClient) -> None:
    response = await api.get("/health/supabase")
    assert (response.status_code, response.json()["state"]) == (200, "off")
    assert (await api.get("/api/status")).json()["supabase"] is None
