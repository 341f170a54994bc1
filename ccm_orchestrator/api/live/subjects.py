"""Whom a listener follows: a run, a task, a conversation, or everything that its caller may see."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from ccm_orchestrator.api.access import owner_of, visible_agent, visible_task
from ccm_orchestrator.api.services import ApiServices
from ccm_orchestrator.domain.caller import Caller
from ccm_orchestrator.domain.events import BusEvent
from ccm_orchestrator.errors import NotFound, RunNotFound, TaskNotFound
from ccm_orchestrator.ports.journal import RunQuery

REMEMBERED = 10_000
"""Answers about tasks and runs that one listener keeps."""


class Subject(Protocol):
    @property
    def run_id(self) -> str | None:
        """Spares the log's reader others' events; None: only `includes` knows."""

    @property
    def task_id(self) -> str | None: ...

    def names(self) -> dict[str, str]:
        """What the listener is told it follows."""

    async def includes(self, event: BusEvent) -> bool: ...

    async def agent(self) -> str:
        """The run to which messages go. Raises: RunNotFound."""


@dataclass(frozen=True, slots=True)
class OneRun:
    run_id: str
    name: str
    task_id: None = None

    def names(self) -> dict[str, str]:
        return {"agent": self.name, "run_id": self.run_id}

    async def includes(self, event: BusEvent) -> bool:
        return event.run_id == self.run_id

    async def agent(self) -> str:
        return self.run_id


@dataclass(frozen=True, slots=True)
class OneTask:
    """All its runs."""

    task_id: str
    run_id: None = None

    def names(self) -> dict[str, str]:
        return {"task_id": self.task_id}

    async def includes(self, event: BusEvent) -> bool:
        return event.task_id == self.task_id

    async def agent(self) -> str:
        return self.task_id


@dataclass(slots=True)
class OneSession:
    """All runs of a conversation, those that come included."""

    services: ApiServices
    session_id: str
    run_id: None = None
    task_id: None = None
    _known: dict[str, bool] = field(default_factory=dict)

    def names(self) -> dict[str, str]:
        return {"session_id": self.session_id}

    async def includes(self, event: BusEvent) -> bool:
        if event.run_id is None:
            return False
        if event.run_id not in self._known:
            try:
                run = (await self.services.control.agent(event.run_id)).run
            except RunNotFound:
                return False
            _remember(self._known, event.run_id, run.session_id == self.session_id)
        return self._known[event.run_id]

    async def agent(self) -> str:
        runs = await self.services.control.agents(RunQuery(session_id=self.session_id, limit=1))
        return runs[0].run.run_id


@dataclass(slots=True)
class Everything:
    """That the caller may see. What belongs to no task belongs to the machine."""

    services: ApiServices
    caller: Caller
    run_id: None = None
    task_id: None = None
    _known: dict[str, bool] = field(default_factory=dict)

    def names(self) -> dict[str, str]:
        return {}

    async def includes(self, event: BusEvent) -> bool:
        if self.caller.owner is None:
            return True
        if event.task_id is None:
            return False
        if event.task_id not in self._known:
            _remember(self._known, event.task_id, await self._sees(event))
        return self._known[event.task_id]

    async def agent(self) -> str:
        raise RunNotFound("This socket follows all tasks; connect to `/ws/AGENT` to write to one.")

    async def _sees(self, event: BusEvent) -> bool:
        try:
            await visible_task(self.services, self.caller, event.task_id or "")
        except TaskNotFound:
            return False
        return True


async def subject_of(services: ApiServices, caller: Caller, ref: str) -> Subject:
    """By agent name, run id, task id, session id, or a unique prefix of an agent's or a task's.

    Raises: RunNotFound when there is no such thing, or not for this caller.
    """
    runs = await services.control.agents(RunQuery(session_id=ref, limit=1))
    if runs and caller.sees(owner_of(runs[0])):
        return OneSession(services, ref)
    try:
        run = (await visible_agent(services, caller, ref)).run
    except RunNotFound as error:
        return await _task_of(services, caller, ref, error)
    return OneTask(run.task_id) if run.task_id == ref else OneRun(run.run_id, run.name)


async def _task_of(services: ApiServices, caller: Caller, ref: str, missing: RunNotFound) -> Subject:
    try:
        return OneTask((await visible_task(services, caller, ref)).task_id)
    except NotFound:
        raise missing from None


def _remember(known: dict[str, bool], key: str, answer: bool) -> None:
    if len(known) >= REMEMBERED:
        del known[next(iter(known))]
    known[key] = answer
