"""The API for Python programs: `Client` blocks, `AsyncClient` is awaited, both have the same methods.

    with Client("https://desk.example:8765", token) as ccm:
        task = ccm.tasks.add("shop", "Fix the failing test")
        print(ccm.tasks.wait(task.task_id).result.text)

What the daemon refuses is raised as the error of `ccm_orchestrator.errors` that it is.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ccm_orchestrator.client.administration import AuditRecord, Budget, Incident, Key, NewKey, Notification
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
    from ccm_orchestrator.client.failures import StreamEnded, UnexpectedAnswer, WaitTimeout
    from ccm_orchestrator.client.patience import Patience
    from ccm_orchestrator.domain.dialogue import PermissionRequest
    from ccm_orchestrator.errors import DaemonUnreachable

__all__ = [
    "Agent",
    "AsyncClient",
    "AuditRecord",
    "Budget",
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

_HOMES = {
    "client.administration": ("AuditRecord", "Budget", "Incident", "Key", "NewKey", "Notification"),
    "client.awaited": ("AsyncClient",),
    "client.blocking": ("Client",),
    "client.call": ("Call", "Page"),
    "client.conversations": ("Chat", "Session", "SessionEvent", "StandingAgent", "Turn"),
    "client.failures": ("StreamEnded", "UnexpectedAnswer", "WaitTimeout"),
    "client.patience": ("Patience",),
    "domain.dialogue": ("PermissionRequest",),
    "errors": ("DaemonUnreachable",),
}
"""Modules, and what programs take from them; `answers` has the rest."""
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> object:
    """Imported when a program asks for it: the command line needs the carrier alone, a quarter of the whole."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = _HOME_OF.get(name, "client.answers")
    return getattr(import_module(f"{__name__.partition('.')[0]}.{home}"), name)
