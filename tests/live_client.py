"""A WebSocket client for tests, on the library that people use."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus
from websockets.typing import Origin, Subprotocol

from ccm_orchestrator.api.server import ApiServer
from ccm_orchestrator.domain.events import BusEvent, EventKind
from tests.api_house import API_TOKEN, PATIENCE_S, RUN_A, House

AGENT = "ccm-aaaaaaaa"


class Client:
    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection

    async def next(self, *, beats: bool = False) -> dict[str, Any]:
        """The next frame; heartbeats are passed over unless they are wanted."""
        while True:
            async with asyncio.timeout(PATIENCE_S):
                frame: dict[str, Any] = json.loads(await self.connection.recv())
            if beats or frame["type"] != "heartbeat":
                return frame

    async def until(self, frame_type: str) -> dict[str, Any]:
        while (frame := await self.next(beats=True))["type"] != frame_type:
            pass
        return frame

    async def say(self, **message: Any) -> dict[str, Any]:
        """Sends it, and returns the answer."""
        await self.connection.send(json.dumps({"id": "m1", **message}))
        while "reply_to" not in (frame := await self.next())["data"]:
            pass
        return frame


@asynccontextmanager
async def live(
    server: ApiServer,
    path: str = "/ws",
    token: str | None = API_TOKEN,
    subprotocols: list[str] | None = None,
    origin: str | None = None,
    name: str = "127.0.0.1",
    **headers: str,
) -> AsyncIterator[Client]:
    if token is not None:
        headers["Authorization"] = f"Bearer {token}"
    connecting = connect(
        f"ws://{name}:{server.port}{path}",
        host="127.0.0.1",
        additional_headers=headers,
        subprotocols=[Subprotocol(name) for name in subprotocols] if subprotocols else None,
        origin=Origin(origin) if origin else None,
        proxy=None,
        open_timeout=PATIENCE_S,
        user_agent_header=None,
    )
    async with connecting as connection:
        yield Client(connection)


async def refusal(server: ApiServer, path: str = "/ws", **how: Any) -> tuple[int, dict[str, Any]]:
    """With which status and problem document the upgrade is refused."""
    with pytest.raises(InvalidStatus) as caught:
        async with live(server, path, **how):
            pass
    response = caught.value.response
    assert response.headers["content-type"] == "application/problem+json"
    assert response.headers["x-content-type-options"] == "nosniff"
    return response.status_code, json.loads(response.body or b"{}")


async def happen(house: House, *texts: str, run_id: str = RUN_A, kind: EventKind = EventKind.AGENT_OUTPUT) -> None:
    task_id = (await house.journal.run(run_id)).task_id
    await house.bus.publish(*(BusEvent(kind, house.clock.now(), task_id, run_id, {"text": text}) for text in texts))
