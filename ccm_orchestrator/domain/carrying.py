"""What a message to a standing agent has come to, from the task that carries it and its run's receipt. Pure."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from ccm_orchestrator.domain.dialogue import RUN_ENDED, Message, MessageStatus
from ccm_orchestrator.domain.standing_agent import StandingMessage
from ccm_orchestrator.domain.task import Task, TaskStatus

_UNANSWERED = "The agent's process ended before it had answered."


@dataclass(frozen=True, slots=True)
class Receipt:
    status: MessageStatus
    detail: str = ""
    answer: str = ""


def made_of(*parts: str) -> str:
    """An id that is the same for the same parts, so that nothing is sent twice."""
    return hashlib.sha256(":".join(parts).encode()).hexdigest()[:32]


def receipt_of(message: StandingMessage, task: Task | None, found: Message | None) -> Receipt | None:
    """`found`: the run's receipt; None: it has none yet. Returns None when nobody carries the message any more."""
    if found is not None and found.status is MessageStatus.ANSWERED:
        return Receipt(found.status, answer=found.answer)
    if message.run_id is None:
        return _of_prompt(task, found)
    if found is not None and (found.status, found.detail) == (MessageStatus.UNDELIVERED, RUN_ENDED):
        return None
    return _of_message(task, found)


def _of_prompt(task: Task | None, found: Message | None) -> Receipt:
    """Tried again for as long as its task is."""
    if task is None:
        return Receipt(MessageStatus.UNDELIVERED, "Its task was deleted.")
    if task.status.terminal:
        taken = found is not None and found.status is MessageStatus.ACCEPTED
        status = MessageStatus.FAILED if taken else MessageStatus.UNDELIVERED
        return Receipt(status, _why(task))
    if found is None or found.status is MessageStatus.UNDELIVERED or task.status is TaskStatus.HELD:
        return Receipt(MessageStatus.QUEUED, task.hold.detail if task.hold else "")
    return Receipt(found.status)


def _of_message(task: Task | None, found: Message | None) -> Receipt:
    if found is None:
        return Receipt(MessageStatus.UNDELIVERED, "Its run was forgotten.")
    lost = task is None or task.status.terminal or task.status is TaskStatus.QUEUED
    if found.status is MessageStatus.ACCEPTED and lost:
        return Receipt(MessageStatus.FAILED, _why(task) if task else _UNANSWERED)
    return Receipt(found.status, found.detail)


def _why(task: Task) -> str:
    if task.status is TaskStatus.CANCELLED:
        return "The agent was stopped."
    failure = task.result.failure if task.result else None
    return failure.message if failure else _UNANSWERED
