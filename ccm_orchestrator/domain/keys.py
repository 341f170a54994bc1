"""API keys: what a program that is no person of this machine proves itself with."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from ccm_orchestrator.domain.caller import Caller, CallerKind, Scope
from ccm_orchestrator.errors import InputError

MAX_NAME_CHARACTERS = 100
MAX_OWNER_CHARACTERS = 200
USE_INTERVAL = timedelta(minutes=1)
"""The time of the last use is kept to this."""


@dataclass(frozen=True, slots=True)
class ApiKey:
    """What is kept of a key; the key itself is shown once, to whoever made it."""

    key_id: str
    name: str
    prefix: str
    """The part of the key that may be shown."""
    scopes: frozenset[Scope]
    owner: str | None
    """The user that it acts for and sees alone; None: everything on this machine."""
    created_at: datetime
    created_by: str
    """Name of the caller."""
    expires_at: datetime | None = None
    """None: never."""
    last_used_at: datetime | None = None
    """To the minute."""
    revoked_at: datetime | None = None

    def works(self, now: datetime) -> bool:
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)

    def use_is_news(self, now: datetime) -> bool:
        return self.last_used_at is None or now - self.last_used_at >= USE_INTERVAL

    def caller(self, source: str) -> Caller:
        return Caller(CallerKind.KEY, self.prefix, self.scopes, self.owner, source)


def check_wish(
    name: str, scopes: frozenset[Scope], owner: str | None, expires_at: datetime | None, now: datetime
) -> None:
    """Whether such a key may be made. Raises: InputError."""
    if not 0 < len(name.strip()) <= MAX_NAME_CHARACTERS or not name.isprintable():
        raise InputError(
            f"Expected the name of a key to be 1 to {MAX_NAME_CHARACTERS} printable characters, got: {name[:120]!r}."
        )
    if not scopes:
        raise InputError(f"A key needs at least one scope; there are: {', '.join(Scope)}.")
    if owner is not None and (not 0 < len(owner.strip()) <= MAX_OWNER_CHARACTERS or not owner.isprintable()):
        raise InputError(
            f"Expected an owner to be 1 to {MAX_OWNER_CHARACTERS} printable characters, got: {owner[:120]!r}."
        )
    if owner is not None and Scope.ADMIN in scopes:
        raise InputError("A key that acts for one user cannot have the scope `admin`, which opens what belongs to all.")
    if expires_at is not None and expires_at <= now:
        raise InputError(f"Expected `expires_at` to be in the future, got: {expires_at.isoformat()}.")
