"""Where a listener begins."""

from __future__ import annotations

from dataclasses import dataclass

from ccm_orchestrator.ports.journal import EventStore


@dataclass(frozen=True, slots=True)
class Start:
    cursor: int
    """The listener is told what comes after it."""
    resync: dict[str, int] | None = None
    """Set: what came after the cursor that was asked for is not all kept. Its values are what is."""


async def start(log: EventStore, wanted: int | None) -> Start:
    """None: with what comes now. 0: with all that is kept."""
    first_seq, last_seq = await log.first_seq(), await log.last_seq()
    if wanted is None:
        return Start(last_seq)
    oldest = first_seq or last_seq + 1
    if wanted == 0 or oldest - 1 <= wanted <= last_seq:
        return Start(wanted)
    return Start(last_seq, {"first_seq": first_seq, "last_seq": last_seq})
