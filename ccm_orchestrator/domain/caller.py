"""Who asks, and what they may do."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Scope(StrEnum):
    """What a credential opens. `admin` opens everything; the others stand for themselves alone."""

    READ = "read"
    """Look at tasks, agents, events and screens."""
    SUBMIT = "submit"
    """Hand in tasks and begin sessions."""
    CONTROL = "control"
    """Stop, retry and release tasks; write to agents; start and stop standing agents."""
    APPROVE = "approve"
    """Answer what agents ask."""
    ADMIN = "admin"
    """Everything, and what belongs to the machine: projects, keys, rules, the audit log."""


class CallerKind(StrEnum):
    LOCAL = "local"
    """Holds the token file of this machine."""
    KEY = "key"
    """Holds an API key."""
    USER = "user"
    """Carries a JWT of the Supabase project."""
    INTERNAL = "internal"
    """A program of this machine that holds the internal secret."""
    RUN = "run"
    """The hook of an agent."""
    DAEMON = "daemon"
    """Nobody asked: a rule, a deadline, or what was seen in an agent's window."""
    NOBODY = "nobody"
    """Asked for what is open to everybody."""


@dataclass(frozen=True, slots=True)
class Caller:
    """One authenticated request's author."""

    kind: CallerKind
    name: str
    """Short and safe to log: `local`, a key's prefix, a user's id."""
    scopes: frozenset[Scope] = frozenset()
    owner: str | None = None
    """The user that it acts for and sees alone; None: sees everything on this machine."""
    source: str = ""
    """Address that the request came from, as the socket tells."""

    def may(self, scope: Scope) -> bool:
        return scope in self.scopes or Scope.ADMIN in self.scopes

    def sees(self, owner: str | None) -> bool:
        """Whether what belongs to `owner` (None: to the machine) is shown to the caller at all."""
        return self.owner is None or self.owner == owner


NOBODY = Caller(CallerKind.NOBODY, "nobody")
