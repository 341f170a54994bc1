"""The API for Python programs: `Client` blocks, `AsyncClient` is awaited, both have the same methods.

    with Client("https://desk.example:8765", token) as ccm:
        task = ccm.tasks.add("shop", "Fix the failing test")
        print(ccm.tasks.wait(task.task_id).result.text)

What the daemon refuses is raised as the error of `ccm_orchestrator.errors` that it is.
"""

from ccm_orchestrator.client.administration import AuditRecord, Incident, Key, NewKey, Notification
from ccm_orchestrator.client.answers import (
    Agent,
    Event,
    Health,
    Message,
    Profile,
    Project,
    Resync,
    Screen,
    Status,
    System,
    Task,
    TaskBrief,
)
from ccm_orchestrator.client.awaited import AsyncClient
from ccm_orchestrator.client.blocking import Client
from ccm_orchestrator.client.call import Call, Page
from ccm_orchestrator.client.conversations import Chat, Session, SessionEvent, StandingAgent, Turn
from ccm_orchestrator.client.failures import DaemonUnreachable, StreamEnded, UnexpectedAnswer, WaitTimeout
from ccm_orchestrator.client.patience import Patience
from ccm_orchestrator.domain.dialogue import PermissionRequest

__all__ = [
    "Agent",
    "AsyncClient",
    "AuditRecord",
    "Call",
    "Chat",
    "Client",
    "DaemonUnreachable",
    "Event",
    "Health",
    "Incident",
    "Key",
    "Message",
    "NewKey",
    "Notification",
    "Page",
    "Patience",
    "PermissionRequest",
    "Profile",
    "Project",
    "Resync",
    "Screen",
    "Session",
    "SessionEvent",
    "StandingAgent",
    "Status",
    "StreamEnded",
    "System",
    "Task",
    "TaskBrief",
    "Turn",
    "UnexpectedAnswer",
    "WaitTimeout",
]
