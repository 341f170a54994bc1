"""What an event means to people: a message, or that an earlier one is settled."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from ccm_orchestrator.domain.events import BusEvent, EventKind
from ccm_orchestrator.domain.incidents import IncidentKind
from ccm_orchestrator.domain.notices import Level, Notice, NoticeEvent, QuietHours, Repeat, harmless

BY_HOLD = {"usage_limit": NoticeEvent.USAGE_LIMIT, "budget": NoticeEvent.BUDGET}
ANSWERED = frozenset(
    {EventKind.TASK_RUNNING, EventKind.TASK_SUCCEEDED, EventKind.TASK_FAILED, EventKind.TASK_CANCELLED}
    | {EventKind.TASK_QUEUED, EventKind.TASK_HELD, EventKind.PERMISSION_DECIDED}
)
BY_INCIDENT = {
    IncidentKind.DAEMON_CRASHED: (NoticeEvent.DAEMON_RESTARTED, Level.WARNING),
    IncidentKind.DAEMON_HUNG: (NoticeEvent.STALLED, Level.WARNING),
    IncidentKind.CRASH_LOOP: (NoticeEvent.CRASH_LOOP, Level.URGENT),
    IncidentKind.RECOVERY_FAILED: (NoticeEvent.RECOVERY_FAILED, Level.URGENT),
    IncidentKind.DATABASE_UNWRITABLE: (NoticeEvent.INCIDENT_OPENED, Level.URGENT),
    IncidentKind.DATABASE_DAMAGED: (NoticeEvent.INCIDENT_OPENED, Level.URGENT),
    IncidentKind.BUDGET_SPENT: (NoticeEvent.BUDGET, Level.WARNING),
    IncidentKind.AGENT_LOST: (NoticeEvent.INCIDENT_OPENED, Level.INFO),
    IncidentKind.AGENT_STUCK: (NoticeEvent.INCIDENT_OPENED, Level.INFO),
    IncidentKind.REALTIME_AWAY: (NoticeEvent.INCIDENT_OPENED, Level.INFO),
    IncidentKind.CLOCK_JUMP: (NoticeEvent.INCIDENT_OPENED, Level.INFO),
}
OTHER_INCIDENT = (NoticeEvent.INCIDENT_OPENED, Level.WARNING)
"""What lasts becomes a failed recovery."""


@dataclass(frozen=True, slots=True)
class NoticeTarget:
    """Who is told what, and when not."""

    name: str
    url: str = field(repr=False)
    events: frozenset[NoticeEvent] = frozenset()
    """Empty: everything."""
    projects: frozenset[str] = frozenset()
    level: Level = Level.INFO
    quiet: QuietHours | None = None
    urgent_passes: bool = True

    def wants(self, message: Message, project: str | None) -> bool:
        return (
            (not self.events or message.event in self.events)
            and message.level.rank >= self.level.rank
            and (not self.projects or project is None or project in self.projects)
        )

    def due_at(self, level: Level, moment: datetime) -> datetime:
        """`moment`, or the end of the quiet hours that it is in."""
        if self.quiet is None or (self.urgent_passes and level is Level.URGENT):
            return moment
        return self.quiet.over_at(moment) or moment


@dataclass(frozen=True, slots=True)
class Message:
    """For whoever wants it."""

    event: NoticeEvent
    level: Level
    topic: str
    title: str
    body: str
    repeat: Repeat = Repeat.COUNT

    def to(self, target: NoticeTarget, at: datetime, delay: timedelta) -> Notice:
        due = target.due_at(self.level, at + delay)
        return Notice(target.name, self.topic, self.event, self.level, self.title, self.body, at, due, self.repeat)


_PIECES = re.compile(r"[/:@?&=#,]+")
LEAST_SECRET = 6


def secrets_of(url: str) -> list[str]:
    """A target's address, and whatever of it may be a token or a password: all but the scheme and names of hosts."""
    _, _, rest = url.strip().partition("://")
    pieces = [piece for part in (rest, _plain(rest)) for piece in _PIECES.split(part)]
    return [url.strip(), rest, *(piece for piece in pieces if len(piece) >= LEAST_SECRET and not _is_host(piece))]


def _plain(text: str) -> str:
    """Without percent signs, as a library may say it."""
    return re.sub(r"%([0-9A-Fa-f]{2})", lambda found: chr(int(found[1], 16)), text)


def _is_host(piece: str) -> bool:
    return piece == "localhost" or re.fullmatch(r"[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+", piece) is not None


def message_of(event: BusEvent, project: str | None, public_url: str | None) -> Message | None:
    """None: nothing that people are told of. Texts of prompts and tools' inputs are in none."""
    data, task = event.data, event.task_id or ""
    where = f" in {harmless(project)}" if project else ""
    show = f"{public_url}/api/tasks/{task}" if public_url else f"ccm-orchestrator task show {task}"
    reason = harmless(str(data.get("reason") or "no reason was given"))
    match event.kind:
        case EventKind.PERMISSION_REQUESTED:
            return _asked(data, task, where, public_url)
        case EventKind.TASK_WAITING:
            body = f"Agent {_of(data, 'agent')}{where} waits for a person.\n{show}"
            return Message(NoticeEvent.NEEDS_PERSON, Level.URGENT, waiting(task), "An agent waits", body, Repeat.KEEP)
        case EventKind.TASK_FAILED:
            body = f"Task {task}{where} failed: {reason}\n{show}"
            return Message(NoticeEvent.FAILED, Level.WARNING, f"failed:{task}", "A task failed", body)
        case EventKind.TASK_HELD:
            kind = BY_HOLD.get(str(data.get("hold_reason")), NoticeEvent.HELD)
            body = f"Task {task}{where} is held: {reason}\n{show}"
            return Message(kind, Level.WARNING, f"held:{task}", "A task is held", body)
        case EventKind.SYSTEM_SILENT:
            body = f"{_of(data, 'system_name')} was not heard of for {_of(data, 'silent_s')} s, and holds "
            body += f"{_of(data, 'leased')} tasks.\nccm-orchestrator system list"
            topic = f"silent:{data.get('system_id')}"
            return Message(NoticeEvent.SYSTEM_SILENT, Level.URGENT, topic, "A machine is silent", body)
        case EventKind.INCIDENT_OPENED | EventKind.INCIDENT_RECOVERED:
            return None if data.get("told") else _incident(event.kind is EventKind.INCIDENT_RECOVERED, data)
    return None


def settled_by(event: BusEvent) -> str | None:
    """The topic that is no news any more."""
    return waiting(event.task_id) if event.kind in ANSWERED and event.task_id else None


def waiting(task_id: str) -> str:
    return f"waiting:{task_id}"


def _asked(data: Mapping[str, object], task: str, where: str, public_url: str | None) -> Message:
    here = f"ccm-orchestrator agent permissions {_of(data, 'agent')}"
    link = f"{public_url}/api/permissions/{_of(data, 'request_id')}" if public_url else here
    body = f"Agent {_of(data, 'agent')}{where} asks for permission to use {_of(data, 'tool_name')}.\n{link}"
    return Message(
        NoticeEvent.NEEDS_PERSON, Level.URGENT, waiting(task), "An agent asks for permission", body, Repeat.REPLACE
    )


def _incident(over: bool, data: Mapping[str, object]) -> Message:
    kind, subject = IncidentKind(str(data["kind"])), _of(data, "subject")
    words = kind.value.replace("_", " ")
    if over:
        body = f"{words}, {subject}: recovered by {_of(data, 'recovered_by')}.\nccm-orchestrator incident list --all"
        topic = f"recovered:{data.get('incident')}"
        return Message(NoticeEvent.INCIDENT_CLOSED, Level.INFO, topic, f"Over: {words}", body)
    event, level = BY_INCIDENT.get(kind, OTHER_INCIDENT)
    body = f"{subject}: {_of(data, 'detail')}\nccm-orchestrator incident list"
    return Message(event, level, f"incident:{kind}:{subject}", f"Incident: {words}", body)


def _of(data: Mapping[str, object], key: str) -> str:
    return harmless(str(data.get(key) or "?"))
