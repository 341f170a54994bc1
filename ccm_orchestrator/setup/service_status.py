"""What a service manager says of the daemon and of the tmux server."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class ServiceStatus:
    installed: bool
    daemon: str
    """`active`, `activating`, `failed`, `inactive`; `not installed`."""
    tmux: str
    restarts: int
    """How often the manager started the daemon anew since it was installed or the machine began."""
    starts_with: str
    """`the machine`, `login`, or empty: nothing starts it."""
    files: tuple[str, ...] = field(default=())
    problem: str = ""
    """Why the manager cannot be asked; empty when it can."""
    says: str = ""
    """What the daemon tells its manager of itself; empty where the manager keeps no such line."""
