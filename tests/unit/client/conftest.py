from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from ccm_orchestrator.client import AsyncClient
from ccm_orchestrator.client.patience import Patience
from tests.api_house import House, connected


@pytest.fixture
async def house() -> House:
    house = House()
    await house.prepare()
    return house


@pytest.fixture
async def ccm(house: House) -> AsyncIterator[AsyncClient]:
    async with connected(house, patience=Patience(first_wait_s=0.01)) as client:
        yield client
