"""One line on how the daemon stands, for `systemctl status`."""

from __future__ import annotations

from collections.abc import Callable

from ccm_orchestrator.domain.task import TaskStatus
from ccm_orchestrator.engine.heartbeats import Heart
from ccm_orchestrator.errors import StoreError
from ccm_orchestrator.ports.figures import Figures, FigureStore
from ccm_orchestrator.wiring.announcing import Announcer

LOOK_S = 15.0
STATES = (TaskStatus.QUEUED, TaskStatus.HELD, TaskStatus.ORPHANED)


async def keep_saying(
    announcer: Announcer,
    heart: Heart,
    store: FigureStore,
    max_agents: int,
    trouble: Callable[[], str],
    supabase_state: Callable[[], str | None],
) -> None:
    """For as long as anybody listens."""
    while announcer.heard:
        await heart.turn()
        try:
            line = standing(await store.figures(), max_agents, supabase_state())
        except StoreError as error:
            line = f"database away: {error.message}"
        announcer.status("; ".join(filter(None, (trouble(), line))))
        await heart.rest(LOOK_S)


def standing(figures: Figures, max_agents: int, supabase: str | None) -> str:
    """`2 of 10 agents run, 3 tasks queued; database ok, Supabase live`"""
    counts = {state: sum(n for (_, status), n in figures.tasks.items() if status == state) for state in STATES}
    tasks = ", ".join(f"{count} {state}" for state, count in counts.items() if count) or "none queued"
    stores = ["database ok"] + ([f"Supabase {supabase}"] if supabase else [])
    untold = sum(figures.outbox.values())
    stores += [f"{untold} outcomes not told yet"] if untold else []
    asking = [f"{figures.permissions} ask for permission"] if figures.permissions else []
    agents = ", ".join([f"{sum(figures.agents.values())} of {max_agents} agents run", *asking])
    return f"{agents}; tasks: {tasks}; {', '.join(stores)}"
