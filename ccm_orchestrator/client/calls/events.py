"""What happens, and what has happened."""

from __future__ import annotations

from ccm_orchestrator.client.answers import Event, Resync
from ccm_orchestrator.client.call import Call, Page, get, nothing, paged
from ccm_orchestrator.client.decoding import decode
from ccm_orchestrator.client.following import Stream
from ccm_orchestrator.client.sse import Frame


def follow(
    *, after: int | None = None, task_id: str | None = None, run_id: str | None = None
) -> Stream[Event | Resync]:
    """Events as they come, for ever: what comes now, or all that came after the cursor `after` (0: all that is kept).

    A connection that breaks is made anew, and goes on where it was. Events that are not kept any more are announced
    by a Resync in their place. Raises: TaskNotFound, RunNotFound, DaemonUnreachable (absent for `absence_s`).
    """
    return Stream(get("/api/events", nothing, after=after, task_id=task_id, run_id=run_id), _read)


def stored(*, after: int | None = None, last: int | None = None, limit: int | None = None) -> Call[Page[Event]]:
    """What has happened, oldest first, after the cursor; `last`: only the last so many."""
    return paged("/api/events/stored", Event, after=after, last=last, limit=limit)


def _read(frame: Frame) -> Event | Resync | None:
    document = frame.json()
    if frame.event == "resync":
        return decode(Resync, document)
    return decode(Event, document) if "seq" in document else None
