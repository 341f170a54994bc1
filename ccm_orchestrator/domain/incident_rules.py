"""What an event of the log means to the book of incidents: an agent died or is stuck, or it is over. Pure."""

from __future__ import annotations

from collections.abc import Set

from ccm_orchestrator.domain.events import BusEvent, EventKind
from ccm_orchestrator.domain.incidents import Change, Closing, IncidentKind, Key, Opening, Trouble
from ccm_orchestrator.domain.result import FailureKind
from ccm_orchestrator.domain.task import HoldReason

BY_FAILURE = {
    FailureKind.LOST.value: IncidentKind.AGENT_LOST,
    FailureKind.AGENT_EXIT.value: IncidentKind.AGENT_LOST,
    FailureKind.OUT_OF_MEMORY.value: IncidentKind.AGENT_LOST,
    FailureKind.INACTIVITY.value: IncidentKind.AGENT_STUCK,
}
OF_TASKS = (IncidentKind.AGENT_LOST, IncidentKind.AGENT_STUCK, IncidentKind.RECOVERY_FAILED)
GIVEN_UP = frozenset({HoldReason.ATTEMPTS_EXHAUSTED.value, HoldReason.POISON.value})
OVER = {
    EventKind.TASK_RUNNING: "a new try, whose agent works",
    EventKind.TASK_SUCCEEDED: "the task's success",
    EventKind.TASK_CANCELLED: "whoever cancelled the task",
    EventKind.TASK_FAILED: "nothing: no try is left, and the task has failed",
}
SIGNS_OF_LIFE = frozenset(
    {EventKind.TOOL_USE_START, EventKind.TOOL_USE_COMPLETE, EventKind.TOOL_USE_ERROR, EventKind.BASH_COMMAND}
    | {EventKind.FILE_READ, EventKind.FILE_EDIT, EventKind.FILE_WRITE, EventKind.AGENT_OUTPUT}
)
BOUNDARIES = frozenset({*OVER, EventKind.TASK_QUEUED, EventKind.TASK_HELD, EventKind.AGENT_NUDGED})
"""Events that must be looked at soon; what else there is may wait."""


def meaning(event: BusEvent, known: Set[Key]) -> list[Change]:
    """`known`: what is open."""
    if event.task_id is None:
        return []
    subject = f"task {event.task_id}"
    if event.kind is EventKind.AGENT_NUDGED:
        detail = "The agent showed no sign of life, and was asked to go on."
        return [_opening(event, IncidentKind.AGENT_STUCK, subject, detail)]
    if event.kind in SIGNS_OF_LIFE:
        return _closings(event, [IncidentKind.AGENT_STUCK], subject, "the agent itself, which went on", known)
    if event.kind in (EventKind.TASK_QUEUED, EventKind.TASK_HELD):
        return _given_back(event, subject, known)
    if event.kind in OVER:
        died = _death(event, subject) if event.kind is EventKind.TASK_FAILED else []
        return [*died, *_closings(event, OF_TASKS, subject, OVER[event.kind], known | {each.key for each in died})]
    return []


def _given_back(event: BusEvent, subject: str, known: Set[Key]) -> list[Change]:
    changes: list[Change] = [*_death(event, subject)]
    if event.data.get("hold_reason") in GIVEN_UP:
        detail = f"The task is held, and no try is made any more: {event.data.get('reason')}"
        changes.append(_opening(event, IncidentKind.RECOVERY_FAILED, subject, detail))
    elif not changes and event.run_id is None:
        changes += _closings(event, OF_TASKS, subject, "whoever released the task", known)
    return changes


def _death(event: BusEvent, subject: str) -> list[Opening]:
    kind = BY_FAILURE.get(str(event.data.get("failure_kind")))
    return [] if kind is None else [_opening(event, kind, subject, str(event.data.get("reason") or "no reason"))]


def _opening(event: BusEvent, kind: IncidentKind, subject: str, detail: str) -> Opening:
    runs = (event.run_id,) if event.run_id else ()
    return Opening(Trouble(kind, subject, "engine", detail, runs), event.at)


def _closings(
    event: BusEvent, kinds: tuple[IncidentKind, ...] | list[IncidentKind], subject: str, by: str, known: Set[Key]
) -> list[Change]:
    return [Closing(kind, subject, event.at, by) for kind in kinds if (kind, subject) in known]
