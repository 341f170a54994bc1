"""Listeners of a conversation, which outlives runs and tasks: of a session, or of a standing agent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from ccm_orchestrator.api.access import visible_agent, visible_task
from ccm_orchestrator.api.live.feed import Told
from ccm_orchestrator.api.live.inbound import UserMessage
from ccm_orchestrator.api.live.subjects import say_to_run
from ccm_orchestrator.api.message_schemas import MessageOutput
from ccm_orchestrator.api.services import ApiServices
from ccm_orchestrator.domain import refusals
from ccm_orchestrator.domain.caller import Caller, Scope
from ccm_orchestrator.domain.events import BusEvent
from ccm_orchestrator.domain.session import TurnWish
from ccm_orchestrator.errors import Forbidden, NotFound
from ccm_orchestrator.ports.journal import RunQuery


@dataclass(slots=True)
class Conversation:
    """All its runs, those that come included. Its id is no secret: whose a run is decides who hears."""

    services: ApiServices
    caller: Caller
    session_id: str
    run_id: None = None
    task_id: None = None
    _known: dict[str, bool] = field(default_factory=dict)

    def names(self) -> dict[str, str]:
        return {"session_id": self.session_id}

    async def of(self, batch: Sequence[Told]) -> Sequence[Told]:
        return [told for told in batch if await self._includes(told.stored.event)]

    async def agent(self) -> str:
        query = RunQuery(session_id=await self._now(), owner=self.caller.owner, limit=1)
        for status in await self.services.control.agents(query):
            return status.run.run_id
        raise refusals.run_not_found(self.session_id)

    async def say(self, services: ApiServices, caller: Caller, wanted: UserMessage) -> dict[str, Any]:
        return await say_to_run(services, await self.agent(), wanted)

    async def _includes(self, event: BusEvent) -> bool:
        key = event.run_id or event.task_id
        if key is None:
            return False
        if key not in self._known:
            try:
                self._known[key] = await self._owns(event) == await self._now()
            except NotFound:
                return False  # or not yet
        return self._known[key]

    async def _owns(self, event: BusEvent) -> str | None:
        """The conversation to which the event belongs. Raises: NotFound."""
        if event.run_id is not None:
            return (await visible_agent(self.services, self.caller, event.run_id)).run.session_id
        options = (await visible_task(self.services, self.caller, event.task_id or "")).options
        return options.session_id if options else None

    async def _now(self) -> str:
        return self.session_id


@dataclass(slots=True)
class OneSession(Conversation):
    """Begun by `POST /spawn`."""

    async def say(self, services: ApiServices, caller: Caller, wanted: UserMessage) -> dict[str, Any]:
        """It is the session's next turn."""
        if not caller.may(Scope.SUBMIT):
            raise Forbidden(f"A session's message needs the scope `submit`, which {caller.name} does not have.")
        begun = await services.sessions.message(self.session_id, TurnWish(wanted.content, model=wanted.model))
        turn = {"session_id": self.session_id, "turn": begun.turn.number, "task_id": begun.task.task_id}
        return {"message": turn | {"status": "queued", "behind": begun.behind}}


@dataclass(slots=True)
class OneStanding(Conversation):
    """Of a standing agent, whose name stays when its process and even its conversation change."""

    name: str = ""

    def names(self) -> dict[str, str]:
        return {"agent": self.name}

    async def say(self, services: ApiServices, caller: Caller, wanted: UserMessage) -> dict[str, Any]:
        agent = await services.standing.find(self.name, caller.owner)
        message = await services.standing.send(agent, wanted.content, wanted.model)
        return {"message": MessageOutput.of_standing(message, agent).model_dump(mode="json", exclude={"text"})}

    async def _now(self) -> str:
        return (await self.services.standing.find(self.name, self.caller.owner)).session_id
