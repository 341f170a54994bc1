"""What became of messages to standing agents, as the tasks and runs that carry them know it."""

from __future__ import annotations

from dataclasses import replace

from ccm_orchestrator.domain.carrying import Receipt, made_of, receipt_of
from ccm_orchestrator.domain.dialogue import MessageStatus
from ccm_orchestrator.domain.events import BusEvent, EventKind
from ccm_orchestrator.domain.standing_agent import StandingAgent, StandingMessage
from ccm_orchestrator.domain.task import Task
from ccm_orchestrator.engine.bus import Bus
from ccm_orchestrator.engine.queues import Queues
from ccm_orchestrator.errors import TaskNotFound
from ccm_orchestrator.ports.journal import Journal, RunQuery
from ccm_orchestrator.ports.standing import StandingStore
from ccm_orchestrator.ports.world import Clock


class Receipts:
    def __init__(self, store: StandingStore, queues: Queues, journal: Journal, bus: Bus, clock: Clock) -> None:
        self._store = store
        self._queues = queues
        self._journal = journal
        self._bus = bus
        self._clock = clock

    async def note(self, agent: StandingAgent, message: StandingMessage) -> StandingMessage:
        """As it stands now; one that was never typed and whose run has ended is carried by nobody again."""
        if message.task_id is None:
            return message
        run_id = message.run_id or await self._newest_run(message.task_id)
        receipt_id = made_of(message.message_id, run_id) if message.run_id else run_id
        known = await self._journal.messages(run_id) if run_id else []
        found = next((one for one in known if one.message_id == receipt_id), None)
        receipt = receipt_of(message, await self._task(message.task_id), found)
        if receipt is None:
            return await self._store.save_message(
                replace(message, task_id=None, run_id=None, status=MessageStatus.QUEUED)
            )
        return await self.settle(agent, message, receipt)

    async def settle(self, agent: StandingAgent, message: StandingMessage, receipt: Receipt) -> StandingMessage:
        """Stores and tells what has changed."""
        changed = replace(message, status=receipt.status, detail=receipt.detail, answer=receipt.answer)
        if changed == message:
            return message
        saved = await self._store.save_message(changed)
        data = {
            "message_id": message.message_id,
            "status": receipt.status,
            "detail": receipt.detail,
            "agent_id": agent.agent_id,
            "agent": agent.name,
        }
        await self._bus.publish(BusEvent(EventKind.MESSAGE, self._clock.now(), message.task_id, message.run_id, data))
        return saved

    async def _newest_run(self, task_id: str) -> str:
        runs = await self._journal.runs(RunQuery(task_id=task_id, limit=1))
        return runs[0].run_id if runs else ""

    async def _task(self, task_id: str) -> Task | None:
        try:
            return await self._queues.local.get(task_id)
        except TaskNotFound:
            return None
