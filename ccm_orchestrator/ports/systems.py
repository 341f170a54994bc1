"""The machines that run the daemon, as a task store knows them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class SystemInfo:
    """What a machine says of itself."""

    system_id: str
    system_name: str
    """For people."""
    version: str
    """Of ccm-orchestrator."""
    max_agents: int
    labels: tuple[str, ...] = ()
    """What it can do or has; tasks may ask for labels."""


@dataclass(frozen=True, slots=True)
class SystemView:
    """What the store knows of a machine."""

    system_id: str
    system_name: str
    version: str
    """Empty: it never introduced itself."""
    max_agents: int
    labels: tuple[str, ...]
    draining: bool
    """It finishes what it has and claims nothing new."""
    last_seen: datetime
    connected_since: datetime
    """Start of the time without a gap in its heartbeats."""
    silent_s: float
    """Since `last_seen`, on the store's clock."""
    leased: int
    """Tasks that it holds."""
