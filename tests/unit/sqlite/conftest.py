"""A database file of its own for each test."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from ccm_orchestrator.adapters.sqlite.database import Database
from tests.unit.sqlite.files import Opener


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "ccm.db"


@pytest.fixture
async def open_database(path: Path) -> AsyncIterator[Opener]:
    async with AsyncExitStack() as stack:

        async def make() -> Database:
            database = Database(path)
            stack.push_async_callback(database.close)
            await database.open()
            return database

        yield make
