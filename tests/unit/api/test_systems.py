"""The machine over HTTP: projects, profiles, status; and the other machines."""

from __future__ import annotations

from pathlib import Path

import httpx

from ccm_orchestrator.domain.profiles import Profile
from ccm_orchestrator.ports.systems import SystemInfo
from tests.api_house import House
from tests.unit.engine.elsewhere import Elsewhere

DESK = SystemInfo("desk", "The desk", "1.2.3", 10, ("linux",))
SHED = SystemInfo("shed", "The shed", "1.1.0", 4, ("gpu",))
STORES: dict[str, dict[str, str]] = {"default": {}, "supabase": {"store": "supabase"}, "local": {"store": "local"}}


async def test_projects_are_registered_by_directories_that_exist(
    house: House, api: httpx.AsyncClient, tmp_path: Path
) -> None:
    made = await api.post("/api/projects", json={"path": str(tmp_path), "profile": "brain"})
    assert (made.status_code, made.json()["name"]) == (201, tmp_path.name)
    gone, wanted = str(tmp_path / "gone"), "Expected the absolute path of a directory"
    words = {gone: f"There is no directory {gone}.", __file__: "There is no directory", "relative": wanted, "": wanted}
    for path, said in words.items():
        refused = await api.post("/api/projects", json={"path": path, "name": "x"})
        assert refused.status_code == 422 and said in refused.json()["detail"]
    unknown = await api.post("/api/projects", json={"path": str(tmp_path), "profile": "wizard"})
    assert unknown.json()["type"].endswith("unknown-profile")
    assert (await api.delete(f"/api/projects/{tmp_path.name}")).status_code == 204
    assert (await api.delete(f"/api/projects/{tmp_path.name}")).status_code == 404


async def test_profiles_show_no_values_of_their_environment() -> None:
    house = House(Profile("paid", env={"KEY": "canary"}))
    async with house.client() as client:
        response = await client.get("/api/profiles")
    paid = next(profile for profile in response.json() if profile["name"] == "paid")
    assert paid["env_names"] == ["KEY"] and "canary" not in response.text


async def test_the_status_counts_tasks_and_agents(house: House, api: httpx.AsyncClient) -> None:
    await house.agent()
    body = (await api.get("/api/status")).json()
    assert (body["agents"], body["tasks"]["running"], body["tasks"]["queued"]) == (1, 1, 0)
    assert (body["version"], body["system_id"], body["trouble"]) == ("1.2.3", "desk", "")


async def test_systems_are_told_as_the_store_knows_them(house: House, api: httpx.AsyncClient) -> None:
    await house.store.register_system(DESK, "boot")
    await house.agent()
    house.clock.advance(40)
    (desk,) = (await api.get("/api/systems")).json()
    told = {name: desk[name] for name in ("system_name", "version", "max_agents", "labels", "leased", "silent_s")}
    assert told == {
        "system_name": "The desk",
        "version": "1.2.3",
        "max_agents": 10,
        "labels": ["linux"],
        "leased": 1,
        "silent_s": 40.0,
    }


async def test_a_system_drains_until_that_is_taken_back_and_the_daemon_is_told_at_once(
    house: House, api: httpx.AsyncClient
) -> None:
    await house.store.register_system(DESK, "boot")
    for draining in (True, False):
        pokes = house.pokes
        answer = await api.post("/api/systems/desk/drain", json={"draining": draining})
        assert (answer.status_code, house.pokes) == (204, pokes + 1)
        assert [system["draining"] for system in (await api.get("/api/systems")).json()] == [draining]


async def test_an_unknown_system_is_not_drained(api: httpx.AsyncClient) -> None:
    answer = await api.post("/api/systems/nowhere/drain", json={"draining": True})
    assert answer.status_code == 404 and "There is no system 'nowhere'" in answer.json()["detail"]


async def test_a_system_of_any_store_is_drained_in_all_that_know_it(house: House) -> None:
    there = Elsewhere(house.clock)
    house.remotes = [there.queue()]
    house.restart()
    await house.store.register_system(DESK, "boot")
    for system in (DESK, SHED):
        await there.register_system(system, "boot")
    async with house.client() as api:
        for system_id in ("desk", "shed"):
            assert (await api.post(f"/api/systems/{system_id}/drain", json={})).status_code == 204
        listed = {name: (await api.get("/api/systems", params=query)).json() for name, query in STORES.items()}
    drained = {name: [(system["system_id"], system["draining"]) for system in listed[name]] for name in listed}
    both = [("desk", True), ("shed", True)]
    assert drained == {"default": both, "supabase": both, "local": [("desk", True)]}
