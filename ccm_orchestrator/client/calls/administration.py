"""What takes the scope `admin`: keys, the audit log, stopping everything."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from ccm_orchestrator.client.administration import AuditRecord, Budget, Incident, Key, NewKey, Notification, Stopped
from ccm_orchestrator.client.call import Call, Page, delete, get, many, nothing, one, paged, post
from ccm_orchestrator.client.paths import path
from ccm_orchestrator.domain.caller import Scope
from ccm_orchestrator.domain.notices import NoticeStatus
from ccm_orchestrator.errors import InputError


def keys() -> Call[tuple[Key, ...]]:
    """Newest first, with those that expired or were revoked."""
    return get("/api/keys", many(Key))


def create_key(
    name: str, scopes: Sequence[Scope | str], *, owner: str | None = None, expires_at: datetime | None = None
) -> Call[NewKey]:
    """Not sent again when its answer gets lost: revoke what `keys` then shows."""
    if expires_at is not None and expires_at.tzinfo is None:
        raise InputError("Expected `expires_at` to say its time zone.")
    body = {
        "name": name,
        "scopes": [str(scope) for scope in scopes],
        "owner": owner,
        "expires_at": expires_at.isoformat() if expires_at else None,
    }
    return post("/api/keys", one(NewKey), body)


def rotate_key(key: str, *, overlap_s: float | None = None) -> Call[NewKey]:
    """A new key in the place of one, by id, prefix or name; the old one works for `overlap_s` beside it."""
    return post(path("/api/keys/{}/rotate", key), one(NewKey), {} if overlap_s is None else {"overlap_s": overlap_s})


def revoke_key(key: str) -> Call[None]:
    """By id, prefix or name. It works no more from this moment."""
    return delete(path("/api/keys/{}", key))


def flush_user_keys() -> Call[None]:
    """The public keys of the Supabase project are asked for anew."""
    return replace(post("/api/users/flush-keys", nothing), repeatable=True)


def audit(
    *,
    caller: str | None = None,
    action: str | None = None,
    target: str | None = None,
    before: int | None = None,
    limit: int | None = None,
) -> Call[Page[AuditRecord]]:
    """Who changed what, newest first: of exactly this caller, and what contains these words."""
    return paged("/api/audit", AuditRecord, caller=caller, action=action, target=target, before=before, limit=limit)


def incidents(*, open_only: bool = False, before: int | None = None, limit: int | None = None) -> Call[Page[Incident]]:
    """What went wrong on the machine, newest first."""
    return paged("/api/incidents", Incident, open_only=open_only, before=before, limit=limit)


def notifications(
    *,
    status: NoticeStatus | str | None = None,
    target: str | None = None,
    before: int | None = None,
    limit: int | None = None,
) -> Call[Page[Notification]]:
    """What people were told, and are still to be told, newest first."""
    wanted = None if status is None else str(status)
    return paged("/api/notifications", Notification, status=wanted, target=target, before=before, limit=limit)


def budget() -> Call[Budget]:
    """What the agents of the machine have used today, beside what they may."""
    return get("/api/budget", one(Budget))


def stop_all() -> Call[Stopped]:
    """Ends every agent of the machine now and begins nothing new, until its drain is taken back."""
    return replace(post("/api/stop-all", one(Stopped)), repeatable=True)
