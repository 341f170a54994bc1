"""What an agent says on its way, told to those who listen."""

from __future__ import annotations

from ccm_orchestrator.domain.events import EventKind
from ccm_orchestrator.domain.run import RunState
from ccm_orchestrator.engine.live import LiveRun

MOST_CHARACTERS = 100_000
"""Of one event; the transcript has it whole."""


class Saying:
    """Of one run. What was said before, or while no daemon was there, is not told again."""

    def __init__(self, live: LiveRun) -> None:
        self._live = live
        is_new = not live.run.resumed and live.run.state is not RunState.RUNNING
        self._place: int | None = 0 if is_new else None

    async def tell(self) -> None:
        live = self._live
        if live.transcript_path is None:
            return
        texts, place = await live.driver.said(live.trace(), self._place)
        for said in texts:
            await live.publish(EventKind.AGENT_OUTPUT, text=said[:MOST_CHARACTERS])
        self._place = place
