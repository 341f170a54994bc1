"""Events: what agents report (in), and what the product tells its subscribers (out)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


class EventKind(StrEnum):
    """Kinds of published events: the product's own, dotted; then the catalogue of what agents do."""

    TASK_CREATED = "task.created"
    TASK_CLAIMED = "task.claimed"
    TASK_RUNNING = "task.running"
    TASK_WAITING = "task.waiting"
    TASK_QUEUED = "task.queued"
    """Given back: `data["reason"]`, `data["run_after"]`."""
    TASK_HELD = "task.held"
    TASK_SUCCEEDED = "task.succeeded"
    TASK_FAILED = "task.failed"
    TASK_CANCELLED = "task.cancelled"
    TASK_FENCED = "task.fenced"
    """A superseded run tried to finish; `data["result"]` is kept as evidence."""
    AGENT_STATE = "agent.state"
    AGENT_ADOPTED = "agent.adopted"
    AGENT_NUDGED = "agent.nudged"
    AGENT_STRAY = "agent.stray"
    """A window of ours that no open run owns."""
    MESSAGE = "agent.message"
    """`data["message_id"]`, `data["status"]`."""
    STANDING_AGENT = "standing_agent"
    """Of a standing agent: `data["agent_id"]`, `data["agent"]` (its name), `data["status"]`."""
    PERMISSION_REQUESTED = "permission.requested"
    PERMISSION_DECIDED = "permission.decided"
    DAEMON_STARTED = "daemon.started"
    DAEMON_STOPPED = "daemon.stopped"
    DAEMON_INCIDENT = "daemon.incident"
    INCIDENT_OPENED = "incident.opened"
    """`data["incident"]` (its number), `data["kind"]`, `data["subject"]`, `data["detail"]`."""
    INCIDENT_RECOVERED = "incident.recovered"
    """The same, and `data["recovered_by"]`."""
    SYSTEM_SILENT = "system.silent"
    """Another machine was not heard of for five minutes: `data["system_id"]`, `data["silent_s"]`, `data["leased"]`."""

    TOOL_USE_START = "tool_use_start"
    TOOL_USE_COMPLETE = "tool_use_complete"
    TOOL_USE_ERROR = "tool_use_error"
    FILE_READ = "file_read"
    FILE_EDIT = "file_edit"
    FILE_WRITE = "file_write"
    SESSION_START = "session_start"
    SESSION_COMPLETE = "session_complete"
    SESSION_ERROR = "session_error"
    BASH_COMMAND = "bash_command"
    BASH_OUTPUT = "bash_output"
    AGENT_OUTPUT = "agent_output"
    """Assistant text as it is shown; `data["text"]`."""
    HOOK = "hook"
    """Any other hook event; `data["hook_event_name"]`."""
    HOOK_MALFORMED = "hook_malformed"
    """A payload that is not a JSON object; kept raw."""


@dataclass(frozen=True, slots=True)
class BusEvent:
    """One fact for subscribers."""

    kind: EventKind
    at: datetime
    task_id: str | None = None
    run_id: str | None = None
    data: Mapping[str, object] = field(default_factory=dict)
    """JSON-serialisable."""


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """A published event in the durable log; `seq` rises by commit order and is the Last-Event-ID."""

    seq: int
    event: BusEvent


@dataclass(frozen=True, slots=True)
class HookRecord:
    """One raw hook event as the spool holds it."""

    event_id: str
    """Unique and stable over re-reading: `RUN_ID/FILE_NAME@MODIFIED_NS`."""
    run_id: str
    hook_event_name: str
    """From the file's name, so it is known when the payload is not readable."""
    at: datetime
    raw: bytes = field(repr=False)
