"""Agents that stay after their turn, for messages that may come, until they were idle for long enough."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from ccm_orchestrator.domain.agent import AgentState
from ccm_orchestrator.domain.dialogue import MessageStatus
from ccm_orchestrator.domain.events import BusEvent, EventKind
from ccm_orchestrator.domain.run import Mode
from ccm_orchestrator.engine.ending import Ending
from ccm_orchestrator.engine.live import LiveRun


def linger_s(live: LiveRun) -> float:
    """0: its run ends with its turn."""
    options = live.task.options
    return options.linger_s if options is not None and live.run.mode is Mode.INTERACTIVE else 0.0


async def note_prompt(live: LiveRun) -> None:
    """Its prompt is the first of its messages, with a receipt like the others."""
    if linger_s(live) > 0:
        journal, run = live.parts.journal, live.run
        await journal.add_message(run.run_id, live.task.prompt, run.run_id, MessageStatus.DELIVERED)


def rests(live: LiveRun) -> bool:
    """At its prompt, with nothing to do: its turn ended, or a person interrupted it."""
    view = live.tracker.view
    at_prompt = view.state is AgentState.COMPLETE or (view.state is AgentState.WAITING and view.dialog is None)
    return at_prompt and linger_s(live) > 0 and not live.agent_gone


def stay_s(live: LiveRun) -> float:
    """Seconds that a resting agent still stays."""
    return linger_s(live) - (live.parts.clock.now() - live.tracker.view.since).total_seconds()


def ending_of_rest(live: LiveRun, ending: Ending | None) -> Ending | None:
    """None while it stays. `ending`: how the run would end if it did not."""
    if not rests(live):
        return ending
    return None if stay_s(live) > 0 else ending or Ending.succeeded(live.last_text)


def begins_anew(live: LiveRun, before: AgentState) -> bool:
    """Of an agent that stays, each turn has its time limit to itself."""
    return before is AgentState.COMPLETE and linger_s(live) > 0


def waited_s(events: Sequence[BusEvent], stays_since: datetime | None = None) -> float:
    """Seconds that the agent waited for people, without a wait that is not over.

    `stays_since`: when an agent that stays was started; then all before its last turn counts as waiting.
    """
    total_s, since, before = 0.0, None, ""
    for event in events:
        if event.kind is not EventKind.AGENT_STATE:
            continue
        state = str(event.data["state"])
        if since is not None and state != AgentState.WAITING:
            total_s += (event.at - since).total_seconds()
        if before == AgentState.COMPLETE and state != before and stays_since is not None:
            total_s = (event.at - stays_since).total_seconds()
        since = (since or event.at) if state == AgentState.WAITING else None
        before = state
    return total_s
