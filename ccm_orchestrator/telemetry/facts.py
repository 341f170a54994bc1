"""One line of the log for each fact of the event log. Texts of people and agents are never among its words."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass

from ccm_orchestrator.domain.events import BusEvent, EventKind

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Fact:
    level: int
    sentence: str
    fields: tuple[str, ...] = ()
    """Of the event's data: names, numbers and words of our own, nothing that anybody wrote."""


FACTS: Mapping[EventKind, Fact] = {
    EventKind.TASK_CREATED: Fact(logging.INFO, "task was handed in", ("project", "profile")),
    EventKind.TASK_CLAIMED: Fact(logging.INFO, "task was claimed", ("attempt",)),
    EventKind.TASK_RUNNING: Fact(logging.INFO, "agent works on its task", ("attempt",)),
    EventKind.TASK_WAITING: Fact(logging.INFO, "agent waits for an answer", ("dialog",)),
    EventKind.TASK_QUEUED: Fact(logging.INFO, "task waits for another try", ("failure_kind", "run_after")),
    EventKind.TASK_HELD: Fact(logging.WARNING, "task is held", ("hold_reason", "failure_kind")),
    EventKind.TASK_SUCCEEDED: Fact(logging.INFO, "task succeeded", ("attempt", "duration_s")),
    EventKind.TASK_FAILED: Fact(logging.WARNING, "task failed", ("attempt", "failure_kind", "duration_s")),
    EventKind.TASK_CANCELLED: Fact(logging.INFO, "task was cancelled"),
    EventKind.TASK_FENCED: Fact(logging.WARNING, "outcome of a superseded run was refused"),
    EventKind.AGENT_STATE: Fact(logging.DEBUG, "agent changed its state", ("state",)),
    EventKind.AGENT_NUDGED: Fact(logging.INFO, "silent agent was asked to go on"),
    EventKind.MESSAGE: Fact(logging.DEBUG, "message moved on", ("message_id", "status")),
    EventKind.STANDING_AGENT: Fact(logging.DEBUG, "standing agent changed", ("agent_id", "status")),
    EventKind.PERMISSION_REQUESTED: Fact(logging.INFO, "agent asks for permission", ("request_id", "dialog")),
    EventKind.PERMISSION_DECIDED: Fact(logging.INFO, "permission request was closed", ("request_id", "status")),
    EventKind.DAEMON_STARTED: Fact(logging.INFO, "orchestrator began its work", ("term", "adopted")),
    EventKind.DAEMON_STOPPED: Fact(logging.INFO, "daemon stopped"),
    EventKind.TOOL_USE_START: Fact(logging.DEBUG, "agent uses a tool"),
    EventKind.TOOL_USE_ERROR: Fact(logging.DEBUG, "tool of an agent failed"),
}
"""What is not here is logged where it happens, or by nobody: what agents do and say is in `ccm-orchestrator logs`."""


def log_fact(event: BusEvent) -> None:
    fact = FACTS.get(event.kind)
    if fact is None or not log.isEnabledFor(fact.level):
        return
    told: dict[str, object] = {"fact": event.kind.value, "task_id": event.task_id, "run_id": event.run_id}
    agent = event.data.get("agent")
    told["agent"] = agent if isinstance(agent, str) else None
    told |= {name: event.data.get(name) for name in fact.fields}
    log.log(fact.level, fact.sentence, extra={name: value for name, value in told.items() if value is not None})
