"""A stream ends with the credential with which it was asked for."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from datetime import timedelta

import httpx
import pytest

from ccm_orchestrator.domain.caller import Caller, CallerKind, Scope
from ccm_orchestrator.domain.keys import ApiKey
from ccm_orchestrator.security.keyring import KeyRing
from tests.api_house import PATIENCE_S, House, served

MAKER = Caller(CallerKind.LOCAL, "local")


async def revoked(house: House, key: ApiKey) -> None:
    await KeyRing(house.keys, house.clock).revoke(key.key_id)


async def expired(house: House, _: ApiKey) -> None:
    house.clock.advance(3600)


@pytest.mark.parametrize("end", [revoked, expired])
async def test_a_stream_of_events_ends_when_its_key_does(
    end: Callable[[House, ApiKey], Awaitable[None]],
) -> None:
    house = House(options={"heartbeat_s": 0.05})
    await house.prepare()
    until = house.clock.now() + timedelta(hours=1)
    key, secret = await KeyRing(house.keys, house.clock).create(MAKER, "x", frozenset({Scope.READ}), None, until)
    headers = {"X-API-Key": secret.reveal()}
    async with (
        asyncio.timeout(PATIENCE_S),
        served(house) as server,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.port}", headers=headers, trust_env=False) as client,
        client.stream("GET", "/api/events") as stream,
    ):
        lines = stream.aiter_lines()
        beats = 0
        while beats < 3:
            beats += (await anext(lines)).startswith(":")
        await end(house, key)
        with contextlib.suppress(httpx.RemoteProtocolError):  # it may be cut off
            async for _ in lines:
                pass
        assert (await client.get("/api/tasks")).status_code == 401
