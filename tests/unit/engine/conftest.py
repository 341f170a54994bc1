"""A house for each test."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.unit.engine.house import House, house, shorten_waits


@pytest.fixture
async def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[House]:
    shorten_waits(monkeypatch)
    async with house(tmp_path) as built:
        yield built
