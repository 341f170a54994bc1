"""The API as commands use it: `async with connect(settings) as connection`.

`Connection`, what it needs of HTTP, and where no daemon runs the API itself, are imported when a command connects.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from ccm_orchestrator.cli.lazily import Heavy, load
from ccm_orchestrator.client.paths import segment

if TYPE_CHECKING:
    from ccm_orchestrator.cli.reaching import Connection
    from ccm_orchestrator.settings import Settings

__all__ = ["connect", "segment"]


@asynccontextmanager
async def connect(settings: Settings) -> AsyncIterator[Connection]:
    """Raises: DaemonUnreachable when there is a daemon that does not answer; StoreError when there is none and the
    database cannot be opened."""
    async with load(Heavy.REACHED)(settings) as connection:
        yield connection
