"""One look at everything at once, instead of one at each: who wrote something, and what is not saved yet."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from ccm_orchestrator.domain.agent import AgentState
from ccm_orchestrator.engine.heartbeats import Heart
from ccm_orchestrator.engine.live import LiveRun
from ccm_orchestrator.engine.parts import Parts
from ccm_orchestrator.errors import StoreUnavailable, TerminalError

log = logging.getLogger(__name__)

UNSETTLED = frozenset({AgentState.SPAWNING, AgentState.INITIALIZING, AgentState.UNKNOWN})
ENDED = frozenset({AgentState.COMPLETE, AgentState.ERROR, AgentState.GONE})
SILENCE_S = 10.0
"""A working agent that reported nothing for this long is looked at on its screen: a model that thinks fires no hook."""


def screen_is_needed(live: LiveRun) -> bool:
    """The screen is read of agents without better witnesses, of those that start, and of those that fell silent."""
    view = live.tracker.view
    if view.state in ENDED or live.run.window is None:
        return False
    if live.driver.registry_directory() is None or view.state in UNSETTLED:
        return True
    silent_s = (live.parts.clock.now() - view.last_sign_of_life).total_seconds()
    return view.state is AgentState.WORKING and silent_s > SILENCE_S


class Sweeper:
    """Costs one question to the terminal and at most one commit per turn, however many agents there are."""

    def __init__(self, parts: Parts, runs: Callable[[], Sequence[LiveRun]]) -> None:
        self._parts = parts
        self._runs = runs

    async def run(self, heart: Heart) -> None:
        while True:
            await heart.turn()
            await self._look_at_windows()
            await self._look_at_intents()
            await self._save_views()
            await heart.rest(self._parts.limits.sweep_interval_s)

    async def _look_at_windows(self) -> None:
        wanted = {live.run.run_id: live for live in self._runs() if screen_is_needed(live)}
        if not wanted:
            return
        try:
            windows = await self._parts.terminal.windows()
        except TerminalError as error:
            log.debug("screens are not read: %s", error.message)
            return
        for info in windows:
            live = wanted.get(info.run_id or "")
            if live is not None:
                live.wrote(info.last_output_at)

    async def _look_at_intents(self) -> None:
        """Whoever writes one pokes its run, too; this finds what nobody told."""
        try:
            intended = await self._parts.journal.runs_with_intents()
        except StoreUnavailable as error:
            log.warning("messages and requests are not looked at: %s", error.message)
            return
        for live in self._runs():
            if live.run.run_id in intended:
                live.poke()

    async def _save_views(self) -> None:
        """Running tools and signs of life are not worth a commit each, but nobody should be told old ones for long."""
        fresh = [(live, live.tracker.view) for live in self._runs() if live.tracker.view != live.saved_view]
        if not fresh:
            return
        try:
            await self._parts.journal.save_views({live.run.run_id: view for live, view in fresh})
        except StoreUnavailable as error:
            log.warning("agents' states are not saved: %s", error.message)
            return
        for live, view in fresh:
            live.saved_view = view
