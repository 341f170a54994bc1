"""The machine over HTTP: projects, profiles, status."""

from __future__ import annotations

from pathlib import Path

import httpx

from ccm_orchestrator.domain.profiles import Profile
from tests.api_house import House


async def test_projects_are_registered_by_directories_that_exist(
    house: House, api: httpx.AsyncClient, tmp_path: Path
) -> None:
    made = await api.post("/api/projects", json={"path": str(tmp_path), "profile": "brain"})
    assert (made.status_code, made.json()["name"]) == (201, tmp_path.name)
    for path in (str(tmp_path / "gone"), "relative", __file__, ""):
        refused = await api.post("/api/projects", json={"path": path, "name": "x"})
        assert refused.status_code == 422 and "Expected the absolute path of a directory" in refused.json()["detail"]
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
