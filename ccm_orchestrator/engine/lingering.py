"""Agents that stay after their turn, for messages that may come, until they were idle for long enough."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from ccm_orchestrator.domain.agent import AgentState
from ccm_orchestrator.domain.carrying import EARLIER_RUNS, is_prompt, left
from ccm_orchestrator.domain.dialogue import MessageStatus
from ccm_orchestrator.domain.events import BusEvent, EventKind
from ccm_orchestrator.domain.result import FailureKind
from ccm_orchestrator.domain.run import Mode
from ccm_orchestrator.engine.ending import Ending
from ccm_orchestrator.engine.live import LiveRun
from ccm_orchestrator.ports.journal import RunQuery

YIELD_AFTER_S = 10.0
"""So long after its answer an agent keeps its place, because who talks to it may say more."""


def linger_s(live: LiveRun) -> float:
    """0: its run ends with its turn."""
    options = live.task.options
    return options.linger_s if options is not None and live.run.mode is Mode.INTERACTIVE else 0.0


async def note_prompt(live: LiveRun) -> None:
    """Its prompt is the first of its messages, with a receipt like the others."""
    if linger_s(live) > 0:
        journal, run = live.parts.journal, live.run
        await journal.add_message(run.run_id, await work_of(live), run.run_id, MessageStatus.DELIVERED)


async def work_of(live: LiveRun) -> str:
    """What its next process is to do: what the one before took in and did not answer, else its task's prompt."""
    journal, task = live.parts.journal, live.task
    if linger_s(live) > 0:
        for run in await journal.runs(RunQuery(task_id=task.task_id, limit=EARLIER_RUNS)):
            messages = [] if run.run_id == live.run.run_id else await journal.messages(run.run_id)
            if messages:  # one that could not even be started has none
                return "\n\n".join(message.text for message in messages if left(message)) or task.prompt
    return task.prompt


async def nothing_left(live: LiveRun) -> bool:
    """It stays for messages, and all that it took in was answered: a new process would repeat its prompt."""
    messages = await live.parts.journal.messages(live.run.run_id) if linger_s(live) > 0 else []
    begun = any(is_prompt(message) for message in messages)
    return begun and not any(left(message) for message in messages)


def rests(live: LiveRun) -> bool:
    """At its prompt, with nothing to do: its turn ended, or a person interrupted it."""
    view = live.tracker.view
    at_prompt = view.state is AgentState.COMPLETE or (view.state is AgentState.WAITING and view.dialog is None)
    return at_prompt and linger_s(live) > 0 and not live.agent_gone


def yields(live: LiveRun) -> bool:
    """It rested for long enough to give its place to another agent."""
    rested_s = (live.parts.clock.now() - live.tracker.view.since).total_seconds()
    return rests(live) and rested_s >= YIELD_AFTER_S


def stay_s(live: LiveRun) -> float:
    """Seconds that a resting agent still stays."""
    if live.place_wanted:
        return 0.0
    return linger_s(live) - (live.parts.clock.now() - live.tracker.view.since).total_seconds()


def ending_of_rest(live: LiveRun, ending: Ending | None) -> Ending | None:
    """None while it stays. `ending`: how the run would end if it did not."""
    if not rests(live):
        return _lost(live, ending)
    return None if stay_s(live) > 0 else ending or Ending.succeeded(live.last_text)


def _lost(live: LiveRun, ending: Ending | None) -> Ending | None:
    """A process that stays for messages and did not end by itself is replaced, for what it was doing can go on."""
    evidence, failure = live.tracker.view.evidence, ending.failure if ending else None
    if ending is None or failure is None or failure.kind is not FailureKind.AGENT_EXIT or linger_s(live) <= 0:
        return ending
    by_itself = evidence is not None and evidence.data.get("exit_code") == 0
    return ending if by_itself else replace(ending, failure=replace(failure, kind=FailureKind.LOST))


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
