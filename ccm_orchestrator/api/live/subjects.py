"""Whom a listener follows: a run, a task, or everything that its caller may see."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from ccm_orchestrator.api.access import EventSight
from ccm_orchestrator.api.live.feed import Told
from ccm_orchestrator.api.live.inbound import UserMessage
from ccm_orchestrator.api.message_schemas import MessageOutput
from ccm_orchestrator.api.services import ApiServices
from ccm_orchestrator.domain.caller import Caller
from ccm_orchestrator.errors import InputError, RunNotFound


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
        """The run that is interrupted and typed to, or its task. Raises: RunNotFound."""

    async def say(self, services: ApiServices, caller: Caller, wanted: UserMessage) -> dict[str, Any]:
        """Sends a message, and returns what became of it so far. Raises: InputError and its kin, Forbidden."""


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

    async def say(self, services: ApiServices, caller: Caller, wanted: UserMessage) -> dict[str, Any]:
        return await say_to_run(services, self.run_id, wanted)


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

    async def say(self, services: ApiServices, caller: Caller, wanted: UserMessage) -> dict[str, Any]:
        return await say_to_run(services, self.task_id, wanted)


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

    async def say(self, services: ApiServices, caller: Caller, wanted: UserMessage) -> dict[str, Any]:
        raise RunNotFound("This socket follows all tasks; connect to `/ws/AGENT` to write to one.")


async def say_to_run(services: ApiServices, ref: str, wanted: UserMessage) -> dict[str, Any]:
    """Raises: what `Control.send` raises; InputError for a model."""
    run = (await services.control.agent(ref)).run
    if wanted.model is not None:
        raise InputError(f"{run.name} is a run, whose model is that of its task: leave `model` out.")
    message = await services.control.send(run.run_id, wanted.content)
    return {"message": MessageOutput.of_run(message, run).model_dump(mode="json", exclude={"text"})}
