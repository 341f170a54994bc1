"""How many streams one credential may have open, over server-sent events and WebSockets together."""

from __future__ import annotations

from dataclasses import replace

import httpx

from ccm_orchestrator.domain.caller import Caller, CallerKind, Scope
from ccm_orchestrator.security.keyring import KeyRing
from tests.api_house import API_TOKEN, House, eventually, served
from tests.live_client import live, refusal

ADMIN = Caller(CallerKind.LOCAL, "local", frozenset(Scope))


async def test_a_credential_with_too_many_streams_is_told_so_until_one_ends() -> None:
    house = House(options={"heartbeat_s": 0.2})
    house.rates = replace(house.rates, streams=2)
    house.restart()
    await house.prepare()
    ring = KeyRing(house.keys, house.clock)
    key = (await ring.create(ADMIN, "far", frozenset({Scope.READ}), None, None))[1].reveal()
    headers = {"Authorization": f"Bearer {key}"}
    async with (
        served(house) as server,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.port}", headers=headers) as api,
    ):
        async with live(server, token=key) as socket, api.stream("GET", "/api/events") as events:
            assert events.status_code == 200
            await socket.until("ready")
            refused = await api.get("/api/events")
            assert (refused.status_code, refused.headers["retry-after"]) == (429, "10")
            assert refused.headers["content-type"] == "application/problem+json"
            status, problem = await refusal(server, token=key)
            assert (status, problem["type"]) == (429, "urn:ccm-orchestrator:problem:too-many-requests")
            async with live(server, token=API_TOKEN), live(server, token=API_TOKEN), live(server, token=API_TOKEN):
                pass

        async def comes_in() -> bool:
            async with api.stream("GET", "/api/events") as again:
                return again.status_code == 200

        await eventually(comes_in, "room for a stream")
