"""The view of one agent, and the evidence behind it."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from ccm_orchestrator.domain.agent import AgentView, Evidence, Signal, Source
from ccm_orchestrator.domain.transitions import next_state

_SCREEN_WITNESSES = frozenset({Signal.BUSY, Signal.RETRYING})


class Tracker:
    """Applies evidence in the order in which it is learned."""

    def __init__(self, view: AgentView) -> None:
        self.view = view
        self.recent: deque[Evidence] = deque(maxlen=50)
        self.cost_usd: float | None = None
        self.limit_resets_at: float | None = None
        """Unix time at which a usage limit that is reached ends, where a witness said so."""
        self._screen_detail = ""

    def apply(self, evidence: Iterable[Evidence]) -> bool:
        """True when state or dialog changed."""
        before = self.view
        for item in evidence:
            self._take(item)
        return (before.state, before.dialog) != (self.view.state, self.view.dialog)

    def _take(self, item: Evidence) -> None:
        if not self.recent or self.recent[-1] != item:
            self.recent.append(item)
        cost = item.data.get("cost_usd")
        if isinstance(cost, int | float):
            self.cost_usd = float(cost)
        resets_at = item.data.get("resets_at")
        if isinstance(resets_at, int | float):
            self.limit_resets_at = float(resets_at)
        self.view = next_state(self.view, item)
        if item.source is Source.SCREEN and item.signal in _SCREEN_WITNESSES and item.detail != self._screen_detail:
            # a spinner whose token counter moves is life, although no hook says so while a model thinks
            self._screen_detail = item.detail
            self.view = next_state(self.view, Evidence(Source.SCREEN, Signal.ACTIVE, item.at))
