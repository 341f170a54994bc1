"""Whom a listener follows: a run, a task, a conversation, or everything that its caller may see."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from ccm_orchestrator.api.access import EventSight, visible_agent, visible_task
from ccm_orchestrator.api.live.feed import Told
from ccm_orchestrator.api.services import ApiServices
from ccm_orchestrator.domain import refusals
from ccm_orchestrator.domain.caller import Caller
from ccm_orchestrator.domain.events import StoredEvent
from ccm_orchestrator.errors import NotFound, RunNotFound
from ccm_orchestrator.ports.journal import RunQuery


class Subject(Protocol):
    @property
    def run_id(self) -> str | None:
        """Spares the log's reader others' events; None: only `of` knows."""

    @property
    def task_id(self) -> str | None: ...

    def names(self) -> dict[str, str]:
        """What the listener is told it follows."""

    async def of(self, batch: Sequence[Told]) -> Sequence[Told]:
        """Those that the listener is told."""

    async def agent(self) -> str:
        """The run to which messages go. Raises: RunNotFound."""


@dataclass(frozen=True, slots=True)
class OneRun:
    run_id: str
    name: str
    task_id: None = None

    def names(self) -> dict[str, str]:
        return {"agent": self.name, "run_id": self.run_id}

    async def of(self, batch: Sequence[Told]) -> Sequence[Told]:
        return [told for told in batch if told.stored.event.run_id == self.run_id]

    async def agent(self) -> str:
        return self.run_id


@dataclass(frozen=True, slots=True)
class OneTask:
    """All its runs."""

    task_id: str
    run_id: None = None

    def names(self) -> dict[str, str]:
        return {"task_id": self.task_id}

    async def of(self, batch: Sequence[Told]) -> Sequence[Told]:
        return [told for told in batch if told.stored.event.task_id == self.task_id]

    async def agent(self) -> str:
        return self.task_id


@dataclass(slots=True)
class OneSession:
    """All runs of a conversation, those that come included. Its id is no secret: whose a run is decides who hears."""

    services: ApiServices
    caller: Caller
    session_id: str
    run_id: None = None
    task_id: None = None
    _known: dict[str, bool] = field(default_factory=dict)

    def names(self) -> dict[str, str]:
        return {"session_id": self.session_id}

    async def of(self, batch: Sequence[Told]) -> Sequence[Told]:
        return [told for told in batch if await self._includes(told.stored)]

    async def _includes(self, stored: StoredEvent) -> bool:
        run_id = stored.event.run_id
        if run_id is None:
            return False
        if run_id not in self._known:
            try:
                run = (await visible_agent(self.services, self.caller, run_id)).run
            except RunNotFound:
                return False
            self._known[run_id] = run.session_id == self.session_id
        return self._known[run_id]

    async def agent(self) -> str:
        query = RunQuery(session_id=self.session_id, owner=self.caller.owner, limit=1)
        for status in await self.services.control.agents(query):
            return status.run.run_id
        raise refusals.run_not_found(self.session_id)


@dataclass(frozen=True, slots=True)
class Everything:
    """That the caller may see."""

    sight: EventSight
    run_id: None = None
    task_id: None = None

    def names(self) -> dict[str, str]:
        return {}

    async def of(self, batch: Sequence[Told]) -> Sequence[Told]:
        if self.sight.unlimited:
            return batch
        return [told for told in batch if await self.sight.sees(told.stored)]

    async def agent(self) -> str:
        raise RunNotFound("This socket follows all tasks; connect to `/ws/AGENT` to write to one.")


async def subject_of(services: ApiServices, caller: Caller, ref: str) -> Subject:
    """By agent name, run id, task id, session id, or a unique prefix of an agent's or a task's.

    Raises: RunNotFound when there is no such thing, or not for this caller.
    """
    try:
        run = (await visible_agent(services, caller, ref)).run
    except RunNotFound as error:
        return await _session_or_task(services, caller, ref, error)
    return OneTask(run.task_id) if run.task_id == ref else OneRun(run.run_id, run.name)


async def _session_or_task(services: ApiServices, caller: Caller, ref: str, missing: RunNotFound) -> Subject:
    session = OneSession(services, caller, ref)
    with contextlib.suppress(RunNotFound):
        await session.agent()
        return session
    try:
        return OneTask((await visible_task(services, caller, ref)).task_id)
    except NotFound:
        raise missing from None
