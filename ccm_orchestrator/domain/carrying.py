"""What a message to a standing agent has come to, from the task that carries it and its run's receipt. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from ccm_orchestrator.domain.dialogue import NEVER_TAKEN, Message, MessageStatus
from ccm_orchestrator.domain.standing_agent import StandingMessage
from ccm_orchestrator.domain.task import Task, TaskStatus

EARLIER_RUNS = 20
"""Of a task, so many are looked at."""
_UNANSWERED = "The agent's process ended before it had answered."


@dataclass(frozen=True, slots=True)
class Receipt:
    status: MessageStatus
    detail: str = ""
    answer: str = ""


def receipt_of(message: StandingMessage, task: Task | None, found: Message | None) -> Receipt | None:
    """`found`: the run's receipt; None: it has none yet. Returns None when nobody carries the message any more."""
    if found is not None and found.status is MessageStatus.ANSWERED:
        return Receipt(found.status, answer=found.answer)
    if message.run_id is None or (found is not None and is_prompt(found)):
        return _of_prompt(task, found)
    if found is not None and found.status is MessageStatus.UNDELIVERED and found.detail in NEVER_TAKEN:
        return None
    return _of_message(task, found)


def left(found: Message) -> bool:
    """Taken in and not answered, so that the next process goes on with it. A prompt is nobody else's to send again."""
    if is_prompt(found):
        return found.status is not MessageStatus.ANSWERED
    return found.status is MessageStatus.ACCEPTED


def is_prompt(found: Message) -> bool:
    """A run's receipt for what it was started with bears the run's own id."""
    return found.message_id == found.run_id


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
    if found.status is MessageStatus.ACCEPTED and (task is None or task.status.terminal):
        return Receipt(MessageStatus.FAILED, _why(task) if task else _UNANSWERED)
    held = task.hold.detail if task is not None and task.hold is not None else ""
    return Receipt(found.status, found.detail or held)


def _why(task: Task) -> str:
    if task.status is TaskStatus.CANCELLED:
        return "The agent was stopped."
    failure = task.result.failure if task.result else None
    return failure.message if failure else _UNANSWERED
