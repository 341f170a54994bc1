"""From a published event to what a WebSocket says of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from enum import StrEnum

from ccm_orchestrator.domain.events import BusEvent, EventKind, StoredEvent

MAX_DATA_CHARACTERS = 256_000
"""Of one frame. A larger event is named and not sent: `/api/events/stored` has it whole."""


class FrameType(StrEnum):
    READY = "ready"
    """The first one: `data` says whom the socket follows, `cursor` from where."""
    STATUS = "status"
    OUTPUT = "output"
    """`content` is what the agent said."""
    TOOL_USE = "tool_use"
    FILE_CHANGE = "file_change"
    PERMISSION = "permission"
    RESULT = "result"
    """A turn is over; `content` is the agent's last message."""
    ERROR = "error"
    """A turn failed; or, with `data.problem`, what the client sent could not be done."""
    RECEIPT = "receipt"
    """What became of something that was sent to the agent."""
    TASK_CREATED = "task.created"
    TASK_OUTPUT = "task.output"
    TASK_COMPLETED = "task.completed"
    TASK_FAILED = "task.failed"
    TASK_CANCELLED = "task.cancelled"
    SCREEN = "screen"
    RESYNC = "resync"
    """The cursor that was asked for is not kept any more: fetch the state anew, then go on from this one's."""
    HEARTBEAT = "heartbeat"
    """Nothing else was sent for a while."""


TYPES: Mapping[EventKind, FrameType] = {
    EventKind.TASK_CREATED: FrameType.TASK_CREATED,
    EventKind.TASK_SUCCEEDED: FrameType.TASK_COMPLETED,
    EventKind.TASK_FAILED: FrameType.TASK_FAILED,
    EventKind.TASK_CANCELLED: FrameType.TASK_CANCELLED,
    EventKind.MESSAGE: FrameType.RECEIPT,
    EventKind.PERMISSION_REQUESTED: FrameType.PERMISSION,
    EventKind.PERMISSION_DECIDED: FrameType.PERMISSION,
    EventKind.TOOL_USE_START: FrameType.TOOL_USE,
    EventKind.TOOL_USE_COMPLETE: FrameType.TOOL_USE,
    EventKind.TOOL_USE_ERROR: FrameType.TOOL_USE,
    EventKind.BASH_COMMAND: FrameType.TOOL_USE,
    EventKind.BASH_OUTPUT: FrameType.TOOL_USE,
    EventKind.FILE_READ: FrameType.TOOL_USE,
    EventKind.FILE_EDIT: FrameType.FILE_CHANGE,
    EventKind.FILE_WRITE: FrameType.FILE_CHANGE,
    EventKind.AGENT_OUTPUT: FrameType.OUTPUT,
    EventKind.SESSION_COMPLETE: FrameType.RESULT,
    EventKind.SESSION_ERROR: FrameType.ERROR,
}
"""Every other kind is a `status`."""

TASK_TYPES = frozenset(kind for kind in FrameType if kind.startswith("task."))
"""What a socket that follows everything tells unless it is asked for more."""

_CONTENT: Mapping[EventKind, str] = {
    EventKind.AGENT_OUTPUT: "{text}",
    EventKind.SESSION_COMPLETE: "{result}",
    EventKind.SESSION_ERROR: "{error_message}",
    EventKind.TOOL_USE_START: "{tool_name}",
    EventKind.TOOL_USE_COMPLETE: "{tool_name} is done",
    EventKind.TOOL_USE_ERROR: "{tool_name} failed: {error_message}",
    EventKind.BASH_COMMAND: "$ {command}",
    EventKind.BASH_OUTPUT: "{stdout}{stderr}",
    EventKind.FILE_READ: "Read: {file_path}",
    EventKind.FILE_EDIT: "Modified: {file_path}",
    EventKind.FILE_WRITE: "Written: {file_path}",
    EventKind.AGENT_STATE: "{state}",
    EventKind.MESSAGE: "{status}",
    EventKind.PERMISSION_REQUESTED: "{tool_name}",
    EventKind.PERMISSION_DECIDED: "{status}",
    EventKind.TASK_QUEUED: "{reason}",
    EventKind.TASK_HELD: "{reason}",
}


class _Facts(dict[str, str]):
    def __missing__(self, key: str) -> str:
        return ""


def types_of(kind: EventKind) -> tuple[FrameType, ...]:
    """The type it has; and the one it has among the events of tasks, for those who want that."""
    if kind is EventKind.AGENT_OUTPUT:
        return FrameType.OUTPUT, FrameType.TASK_OUTPUT
    return (TYPES.get(kind, FrameType.STATUS),)


def content_of(event: BusEvent) -> str:
    """One text for people; the facts are in `data`."""
    template = _CONTENT.get(event.kind)
    if template is None:
        return event.kind.value
    facts = _Facts({name: str(value) for name, value in event.data.items() if value is not None})
    return template.format_map(facts)


def frame_of(stored: StoredEvent, frame_type: FrameType | None = None) -> str:
    """As JSON text."""
    event = stored.event
    data = json.dumps(event.data, ensure_ascii=False, default=str)
    is_large = len(data) > MAX_DATA_CHARACTERS
    head = {
        "type": (frame_type or types_of(event.kind)[0]).value,
        "cursor": stored.seq,
        "timestamp": int(event.at.timestamp() * 1000),
        "event": event.kind.value,
        "task_id": event.task_id,
        "run_id": event.run_id,
        "content": content_of(event)[: MAX_DATA_CHARACTERS // 4],
        "truncated": is_large,
    }
    return f'{json.dumps(head, ensure_ascii=False)[:-1]}, "data": {"{}" if is_large else data}}}'


def own_frame(frame_type: FrameType, cursor: int, data: Mapping[str, object], content: str = "") -> str:
    """One that tells of no event: `cursor` says how far the client has been told everything."""
    frame = {"type": frame_type.value, "cursor": cursor, "content": content, "data": data}
    return json.dumps(frame, ensure_ascii=False, default=str)
