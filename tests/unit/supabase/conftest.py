"""A server that answers as it is told, and a client that talks to it."""

from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from ccm_orchestrator.adapters.supabase.client import RestClient
from ccm_orchestrator.adapters.supabase.credentials import Credentials
from ccm_orchestrator.adapters.supabase.health import HealthRecorder
from ccm_orchestrator.adapters.supabase.loop import StoreLoop
from ccm_orchestrator.security.secrets import Secret
from tests.unit.supabase.answering import KEY, Answering, answering

Connect = Callable[..., RestClient]


@pytest.fixture
async def server() -> AsyncIterator[Answering]:
    async with answering() as running:
        yield running


@pytest.fixture
def loop() -> Iterator[StoreLoop]:
    running = StoreLoop()
    running.start()
    yield running
    running.stop()


@pytest.fixture
def recorder() -> HealthRecorder:
    return HealthRecorder()


@pytest.fixture
async def connect(server: Answering, loop: StoreLoop, recorder: HealthRecorder) -> AsyncIterator[Connect]:
    clients: list[RestClient] = []

    def make(credentials: Credentials | None = None, budget_s: float = 0.0, **options: Any) -> RestClient:
        known = credentials or Credentials(server.url, "here", Secret(KEY))
        client = RestClient(server.url, known, loop, recorder, budget_s, **options)
        client.open()
        clients.append(client)
        return client

    yield make
    for client in clients:
        await client.close()
