"""Which systems are there, and when one may take over another's orphan."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from ccm_orchestrator.domain.task import Task

CONNECTION_GAP = timedelta(seconds=120)
"""A system silent for longer than this has not been connected in between (an outage, a suspended laptop)."""
SILENT_AFTER = timedelta(minutes=5)
"""A system that was not heard of for longer is worth a word to people; the view `silent_systems` has the same."""
HEARTBEAT_PRECISION = timedelta(seconds=5)
"""A heartbeat that says no more than the last one is not written again within this time."""


@dataclass(frozen=True, slots=True)
class Presence:
    """What the store knows of one system."""

    system_id: str
    boot_id: str
    last_seen: datetime
    connected_since: datetime
    draining: bool = False
    """It finishes what it has and claims nothing new."""


def heartbeat(known: Presence | None, system_id: str, boot_id: str | None, now: datetime) -> Presence:
    """`boot_id` None: the same as before. Equal to `known` when there is nothing to write."""
    if known is None:
        return Presence(system_id, boot_id or "", now, now)
    boot_id = boot_id or known.boot_id
    if boot_id != known.boot_id or now - known.last_seen > CONNECTION_GAP:
        return replace(known, boot_id=boot_id, last_seen=now, connected_since=now)
    return known if now - known.last_seen < HEARTBEAT_PRECISION else replace(known, last_seen=now)


def may_take_over(task: Task, owner: Presence | None, rescuer: Presence, grace_s: float, now: datetime) -> bool:
    """Whether an orphan may be queued again.

    The owner must have been silent for the grace; so must the rescuer have been connected, or all would be taken over
    by whoever returns first after an outage of the store. An orphan of the rescuer's own, or of a system that nobody
    knows, counts from the end of its lease.
    """
    latest = now - timedelta(seconds=grace_s)
    if rescuer.connected_since > latest:
        return False
    if owner is not None and owner.system_id != rescuer.system_id:
        return owner.last_seen <= latest
    return task.lease is None or task.lease.expires_at <= latest
