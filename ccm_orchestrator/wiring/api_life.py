"""The API's life within the daemon: loaded when everything else runs, and missed at once when it ends by itself."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import importlib
from collections.abc import Callable
from typing import Any

from ccm_orchestrator.errors import ApiLost
from ccm_orchestrator.wiring.lives import Server

HEAD_START_S = 1.0
"""How long the API waits for the orchestrator, which needs the processor to adopt what runs."""
ANSWERING = "ccm_orchestrator.wiring.answering"


class ApiLife:
    """One task imports, opens and serves it all: whatever goes wrong, that task ends."""

    def __init__(self, build: Callable[[Any], Server], orchestrator_ready: asyncio.Event) -> None:
        """`build` makes the server with the module `ANSWERING`."""
        self._build = build
        self._orchestrator_ready = orchestrator_ready
        self._server: Server | None = None
        self._task: asyncio.Task[None] | None = None

    def begin(self) -> None:
        self._task = asyncio.create_task(self._live(), name="API")

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
        if self._server is not None:
            await self._server.stop()

    async def lost(self) -> ApiLost:
        """Returns when it could not be loaded, or is not served any more though nobody stopped it; else never."""
        if self._task is None:
            raise AssertionError("the API was not begun")
        await asyncio.wait({self._task})
        error = self._task.exception()
        why = f"{type(error).__name__}: {error}" if error else "its server ended"
        lost = ApiLost(f"The API is not served ({why}); the process ends, to be started anew.")
        lost.__cause__ = error
        return lost

    async def _live(self) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._orchestrator_ready.wait(), HEAD_START_S)
        answering = await asyncio.to_thread(importlib.import_module, ANSWERING)
        gc.freeze()  # modules stay
        self._server = self._build(answering)
        await self._server.start()
        await self._server.serving()
