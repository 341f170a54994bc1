from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest

from tests.api_house import House


@pytest.fixture
async def house() -> House:
    house = House()
    await house.prepare()
    return house


@pytest.fixture
async def api(house: House) -> AsyncIterator[httpx.AsyncClient]:
    async with house.client() as client:
        yield client
