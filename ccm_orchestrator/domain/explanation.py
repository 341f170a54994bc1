"""Why we believe an agent to be in its state, in data and in one sentence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from ccm_orchestrator.domain.agent import AgentState, AgentView, Dialog, Evidence, Signal, Source
from ccm_orchestrator.domain.run import Run, RunState


@dataclass(frozen=True, slots=True)
class CitedEvidence:
    source: Source
    signal: Signal
    detail: str
    at: datetime
    age_s: float


@dataclass(frozen=True, slots=True)
class Explanation:
    agent: str
    run_id: str
    state: AgentState
    since: datetime
    age_s: float
    """Seconds since the observation that the state rests on."""
    evidence: CitedEvidence | None
    """None: nothing was observed yet."""
    dialog: Dialog | None
    tools_running: tuple[str, ...]
    background_work: bool
    last_sign_of_life: datetime
    sentence: str


def assumed_view(run: Run) -> AgentView:
    """What can be said of a run that was never observed."""
    since = run.ended_at or run.started_at or run.created_at
    state = {
        RunState.INTENDED: AgentState.SPAWNING,
        RunState.LAUNCHED: AgentState.SPAWNING,
        RunState.RUNNING: AgentState.UNKNOWN,
        RunState.ENDED: AgentState.GONE,
    }[run.state]
    return AgentView(state=state, since=since, evidence=None, last_sign_of_life=since)


def explain(run: Run, view: AgentView, now: datetime) -> Explanation:
    return Explanation(
        agent=run.name,
        run_id=run.run_id,
        state=view.state,
        since=view.since,
        age_s=round(view.age_s(now), 3),
        evidence=_cite(view.evidence, now) if view.evidence else None,
        dialog=view.dialog,
        tools_running=tuple(sorted(view.tools_running)),
        background_work=view.background_work,
        last_sign_of_life=view.last_sign_of_life,
        sentence=_sentence(run, view, now),
    )


def _cite(evidence: Evidence, now: datetime) -> CitedEvidence:
    age_s = round((now - evidence.at).total_seconds(), 3)
    return CitedEvidence(evidence.source, evidence.signal, evidence.detail, evidence.at, age_s)


_DOING: Mapping[AgentState, str] = {
    AgentState.SPAWNING: "Its window is being opened",
    AgentState.INITIALIZING: "Its process lives and has not taken its prompt yet",
    AgentState.WORKING: "It works",
    AgentState.WAITING: "It waits for a person",
    AgentState.COMPLETE: "Its turn ended normally and no background work is left",
    AgentState.ERROR: "Its turn or its process ended with an error",
    AgentState.UNKNOWN: "It was adopted and has not been observed yet",
    AgentState.GONE: "Its process ended without leaving a record",
}

_WITNESS: Mapping[Source, str] = {
    Source.EXIT_RECORD: "the launcher's exit record",
    Source.HOOK: "a hook of the agent",
    Source.REGISTRY: "the agent's own session registry",
    Source.STREAM: "the agent's output stream",
    Source.LAUNCHER: "the launcher's record of the start",
    Source.STATUS_LINE: "the agent's status line",
    Source.TRANSCRIPT: "the agent's transcript",
    Source.SCREEN: "what its screen shows",
}


def _sentence(run: Run, view: AgentView, now: datetime) -> str:
    if run.state is RunState.ENDED:
        return f"The run ended: {run.ending.rstrip('.') or 'no reason was recorded'}."
    return f"{_doing(view)}; {_known_from(view, now)}."


def _doing(view: AgentView) -> str:
    text = _DOING[view.state]
    if view.state is AgentState.WAITING:
        reason = f"a {view.dialog.value} dialog is open" if view.dialog else "its turn was interrupted"
        text += f": {reason}"
    if view.state is AgentState.WORKING and view.tools_running:
        text += f" and {len(view.tools_running)} tool call(s) are running"
    if view.background_work:
        text += ", with work in the background"
    return text


def _known_from(view: AgentView, now: datetime) -> str:
    if view.evidence is None:
        return "nothing was observed yet"
    return f"known from {_WITNESS[view.evidence.source]} ({view.evidence.signal.value}), {_ago(view.age_s(now))}"


def _ago(seconds: float) -> str:
    if seconds < 120:
        return f"{max(0, round(seconds))} s ago"
    if seconds < 7200:
        return f"{round(seconds / 60)} min ago"
    return f"{round(seconds / 3600)} h ago"
