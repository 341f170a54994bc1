"""What became of messages to standing agents, as the tasks and runs that carry them know it."""

from __future__ import annotations

from dataclasses import replace

from ccm_orchestrator.domain.carrying import EARLIER_RUNS, Receipt, is_prompt, left, receipt_of
from ccm_orchestrator.domain.dialogue import Message, MessageStatus
from ccm_orchestrator.domain.events import BusEvent, EventKind
from ccm_orchestrator.domain.made_ids import made_of
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
        found = await self._found(message)
        if found is not None and is_prompt(found) and message.run_id not in (None, found.run_id):
            message = await self._store.save_message(replace(message, run_id=found.run_id))
        receipt = receipt_of(message, await self._task(message.task_id or ""), found)
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

    async def _found(self, message: StandingMessage) -> Message | None:
        """Its receipt; of a run that went on with it when its own was lost, where there is one."""
        prompts = await self._prompts(message.task_id or "")
        if message.run_id is None:
            answered = [one for one in prompts if one.status is MessageStatus.ANSWERED]
            return next(iter(answered or prompts[-1:]), None)
        known = {one.message_id: one for one in await self._journal.messages(message.run_id)}
        found = known.get(made_of(message.message_id, message.run_id)) or known.get(message.run_id)
        newer = prompts and prompts[-1].run_id != message.run_id
        return prompts[-1] if newer and (found is None or left(found)) else found

    async def _prompts(self, task_id: str) -> list[Message]:
        """What its runs were started with, oldest first."""
        runs = reversed(await self._journal.runs(RunQuery(task_id=task_id, limit=EARLIER_RUNS)))
        known = [one for run in runs for one in await self._journal.messages(run.run_id)]
        return [one for one in known if is_prompt(one)]

    async def _task(self, task_id: str) -> Task | None:
        try:
            return await self._queues.local.get(task_id)
        except TaskNotFound:
            return None
