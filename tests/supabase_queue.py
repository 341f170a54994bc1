"""The task store of a real project as the conformance suites want it: one queue, many systems, a clock that jumps."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from contextlib import AsyncExitStack
from datetime import datetime
from typing import Any

from ccm_orchestrator.adapters.supabase.client import RestClient
from ccm_orchestrator.adapters.supabase.credentials import Credentials
from ccm_orchestrator.adapters.supabase.health import HealthRecorder
from ccm_orchestrator.adapters.supabase.loop import StoreLoop
from ccm_orchestrator.adapters.supabase.tasks import SupabaseTaskStore
from ccm_orchestrator.devstack.stack import LocalSupabase
from ccm_orchestrator.domain.task import Task
from ccm_orchestrator.errors import NotFound
from ccm_orchestrator.fakes.clock import START, FakeClock
from ccm_orchestrator.ports.tasks import ClaimRequest, Project
from ccm_orchestrator.security.secrets import Secret

HERE = "here"
"""The system for which the suites add projects."""


class DatabaseClock(FakeClock):
    """The database's clock jumps with it."""

    def __init__(self, stack: LocalSupabase, start: datetime = START) -> None:
        super().__init__(start)
        self._stack = stack
        stack.set_clock(start)

    def advance(self, seconds: float) -> None:
        super().advance(seconds)
        self._stack.set_clock(self.now())


class SharedProjects(SupabaseTaskStore):
    """Whatever project one system has, all have, as in a store of one machine."""

    def __init__(self, client: RestClient, queue_limit: int) -> None:
        super().__init__(client, HERE, queue_limit)
        self._rest = client
        self._shared: dict[str, Project] = {}
        self._others: dict[str, SupabaseTaskStore] = {}
        """Systems that claimed something."""

    async def add_project(self, project: Project) -> Project:
        stored = await super().add_project(project)
        self._shared[project.name] = project
        for other in self._others.values():
            await other.add_project(project)
        return stored

    async def remove_project(self, name: str) -> None:
        for other in self._others.values():  # `here` is asked last: the last one that has it may have to keep it
            with contextlib.suppress(NotFound):
                await other.remove_project(name)
        await super().remove_project(name)
        del self._shared[name]

    async def claim(self, request: ClaimRequest) -> Sequence[Task]:
        if request.system_id not in (HERE, *self._others):
            other = self._others[request.system_id] = SupabaseTaskStore(self._rest, request.system_id)
            for project in self._shared.values():
                await other.add_project(project)
        return await super().claim(request)


async def connected(
    exits: AsyncExitStack,
    stack: LocalSupabase,
    credentials: Credentials | None = None,
    url: str | None = None,
    **options: Any,
) -> RestClient:
    """By default with a secret key, which may speak for every system. `options` are the client's."""
    loop = StoreLoop()
    loop.start()
    exits.push_async_callback(asyncio.to_thread, loop.stop)
    known = credentials or Credentials(stack.url, HERE, Secret(stack.service_key))
    client = RestClient(url or stack.url, known, loop, HealthRecorder(), **options)
    client.open()
    exits.push_async_callback(client.close)
    return client
