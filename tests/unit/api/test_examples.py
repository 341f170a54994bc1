"""The examples of the API's description can be sent as they stand."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from ccm_orchestrator.api.app import describe
from ccm_orchestrator.client import AsyncClient, Patience
from ccm_orchestrator.domain.trust import fingerprint
from ccm_orchestrator.ports.systems import SystemInfo
from tests.api_house import API_TOKEN, INTERNAL_SECRET, RUN_A, House, served, token_of

DOCUMENT = Path(__file__).parents[3] / "docs" / "openapi.json"
WRITTEN: dict[str, Any] = json.loads(DOCUMENT.read_text())


def examples() -> dict[tuple[str, str], dict[str, Any]]:
    found = {}
    for path, operations in WRITTEN["paths"].items():
        for method, operation in operations.items():
            for content in operation.get("requestBody", {}).get("content", {}).values():
                found[method.upper(), path] = content.get("example")
    return found


def test_every_body_has_an_example() -> None:
    assert [route for route, example in examples().items() if example is None] == [], "add it to api/examples.py"
    assert WRITTEN["paths"].keys() == describe()["paths"].keys()


@dataclass
class Scene:
    """What there is to call: an agent that asks something, a session, a key, a system."""

    url: str
    names: dict[str, str]


@pytest.fixture
async def scene(house: House) -> AsyncIterator[Scene]:
    await house.agent(RUN_A)
    await house.store.register_system(SystemInfo("desk", "Desk", "1.2.3", 10, ()), "boot")
    asking = house.ask()
    (request,) = await house.asked()
    async with served(house) as server:
        url = f"http://127.0.0.1:{server.port}"
        async with AsyncClient(url, API_TOKEN, patience=Patience(tries=1)) as ccm:
            spawned = ccm.sessions.spawn("Hello", project="blog")
            first = await anext(spawned)
            await spawned.aclose()
            key = await ccm.keys.create("old", ["read"])
            await ccm.standing.create("helper", project="blog")
        names = {"agent": RUN_A, "run_id": RUN_A, "request_id": request.request_id, "key": key.key_id}
        yield Scene(url, names | {"session_id": first.session_id or "", "system_id": "desk", "name": "blog"})
    asking.cancel()
    await asyncio.wait({asking})


@pytest.mark.parametrize("route", sorted(examples()), ids=" ".join)
async def test_an_example_is_taken_as_it_stands(scene: Scene, tmp_path: Path, route: tuple[str, str]) -> None:
    method, path = route
    body = dict(examples()[route])
    names = scene.names | ({"agent": "helper"} if method == "PATCH" else {})
    if path == "/api/projects":
        body["path"] = str(tmp_path)  # a directory that there is
    if path == "/internal/kill-agent":
        body["agent"] = RUN_A
    if "fingerprint" in body:
        body["fingerprint"] = fingerprint(())  # of a project whose files do nothing
    token = API_TOKEN
    if path.startswith("/internal"):
        token = token_of(RUN_A) if "hooks" in path else INTERNAL_SECRET
    headers = {"Authorization": f"Bearer {token}"}
    async with httpx.AsyncClient(base_url=scene.url, headers=headers, timeout=30) as client:
        if "hooks" in path:  # it is held until somebody answers
            with pytest.raises(httpx.ReadTimeout):
                await client.post(path.format(**names), json=body, timeout=0.2)
            return
        async with client.stream(method, path.format(**names), json=body) as answer:
            assert answer.is_success, (await answer.aread()).decode()
