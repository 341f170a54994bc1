"""From evidence to state: one table, one function.

The table says where each signal leads from each state; `next_state` decides whether a piece of evidence may be believed
at all (rank and age), and keeps the books (running tools, background work, the open dialog). `docs/architecture.md`
shows the diagram that `mermaid()` draws from the table.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from ccm_orchestrator.domain.agent import AgentState, AgentView, Dialog, Evidence, Rank, Signal, Source

S = AgentState

SETTLES = timedelta(seconds=2)
"""How far witnesses of one moment may lie apart. A screen counts only when better evidence is older than this."""

_STARTING = (S.SPAWNING, S.INITIALIZING, S.UNKNOWN)
_LIVE = (*_STARTING, S.WORKING, S.WAITING, S.COMPLETE, S.ERROR)
_ALL = tuple(S)


def _to(target: AgentState, sources: Iterable[AgentState]) -> Mapping[AgentState, AgentState]:
    return {source: target for source in sources}


TRANSITIONS: Mapping[Signal, Mapping[AgentState, AgentState]] = {
    Signal.PROCESS_STARTED: _to(S.INITIALIZING, (S.SPAWNING,)),
    Signal.SESSION_STARTED: _to(S.INITIALIZING, (S.SPAWNING,)),
    Signal.SESSION_ENDED: {},
    Signal.PROMPT_ACCEPTED: _to(S.WORKING, _LIVE),
    Signal.TOOL_STARTED: _to(S.WORKING, _LIVE),
    Signal.TOOL_FINISHED: _to(S.WORKING, (*_STARTING, S.WAITING)),
    Signal.TOOL_FAILED: _to(S.WORKING, (*_STARTING, S.WAITING)),
    Signal.ASKED: _to(S.WAITING, _LIVE),
    Signal.BLOCKED: _to(S.WAITING, _LIVE),
    Signal.ACTIVE: {},
    Signal.TURN_ENDED: _to(S.COMPLETE, _LIVE),
    Signal.TURN_PAUSED: _to(S.WORKING, _LIVE),
    Signal.TURN_FAILED: _to(S.ERROR, _LIVE),
    Signal.IDLE: _to(S.WAITING, (S.WORKING, S.UNKNOWN)),
    Signal.BUSY: _to(S.WORKING, _LIVE),
    Signal.RETRYING: _to(S.WORKING, _LIVE),
    Signal.BACKGROUND: _to(S.WORKING, (S.UNKNOWN, S.WAITING)),
    Signal.MARKER_DONE: _to(S.COMPLETE, _LIVE),
    Signal.MARKER_ERROR: _to(S.ERROR, _LIVE),
    Signal.EXITED: _to(S.ERROR, (*_STARTING, S.WORKING, S.WAITING, S.GONE)),
    Signal.VANISHED: _to(S.GONE, (*_STARTING, S.WORKING, S.WAITING)),
}
"""Signal → from → to; a pair that is not there changes nothing. EXITED with `data["done"]` leads to `complete`."""

_CLOSES_TOOL = frozenset({Signal.TOOL_FINISHED, Signal.TOOL_FAILED})
_ENDS_WORK = frozenset({Signal.TURN_ENDED, Signal.TURN_FAILED, Signal.EXITED, Signal.VANISHED})
_NO_LIFE = frozenset({Signal.EXITED, Signal.VANISHED, Signal.IDLE, Signal.BLOCKED, Signal.BUSY})
"""Signals that a dead or stuck agent also gives: they do not move `last_sign_of_life` unless they change the state."""


def first_view(now: datetime, state: AgentState = AgentState.SPAWNING) -> AgentView:
    return AgentView(state=state, since=now, evidence=None, last_sign_of_life=now)


def next_state(view: AgentView, evidence: Evidence) -> AgentView:
    """The view after one more observation. Never raises: evidence that proves nothing changes nothing."""
    if evidence.subagent:
        return _alive(view, evidence)
    counted = _alive(_count_tool(view, evidence), evidence)
    if not _believable(view, evidence):
        return counted
    target = _target(counted, evidence)
    closed = _close(counted, evidence)
    return closed if target is None else _moved(closed, evidence, target)


def _believable(view: AgentView, evidence: Evidence) -> bool:
    """The screen never overrides newer, better evidence, nor an end; among equals the newest counts."""
    known = view.evidence
    if known is None:
        return True
    if evidence.source.rank is Rank.RECORD:
        return True
    if evidence.source.rank > known.source.rank or _hook_after_registry(known, evidence):
        return evidence.at >= known.at - SETTLES
    if evidence.source.rank == known.source.rank:
        return evidence.at >= known.at
    if view.state in (S.COMPLETE, S.ERROR, S.GONE):
        return False
    return not is_early(view, evidence)


def is_early(view: AgentView, evidence: Evidence) -> bool:
    """A weaker witness that may still show what was before the better one spoke: worth another look."""
    known = view.evidence
    return known is not None and evidence.source.rank < known.source.rank and evidence.at < known.at + SETTLES


def _hook_after_registry(known: Evidence, evidence: Evidence) -> bool:
    """A hook's file may be read after the registry change that followed it; the hook says more."""
    return known.source is Source.REGISTRY and evidence.source is Source.HOOK


def _target(view: AgentView, evidence: Evidence) -> AgentState | None:
    if evidence.signal is Signal.EXITED and evidence.data.get("done"):
        return S.COMPLETE if view.state is not S.ERROR else None
    if evidence.signal is Signal.IDLE and view.background_work:
        return None  # at the prompt until its background work wakes it
    target = TRANSITIONS[evidence.signal].get(view.state)
    if target is S.WORKING and evidence.signal in _CLOSES_TOOL and view.dialog is not None and view.tools_running:
        return None  # a tool beside the one that is asked about ended: the dialog is still open
    if target is None and view.dialog is not None and evidence.signal is Signal.IDLE:
        return S.WAITING  # the dialog was dismissed, and the turn with it
    return target


def _moved(view: AgentView, evidence: Evidence, target: AgentState) -> AgentView:
    dialog = _dialog(view, evidence) if target is S.WAITING else None
    changed = target is not view.state or dialog is not view.dialog
    return replace(
        view,
        state=target,
        since=evidence.at if changed else view.since,
        evidence=evidence,
        dialog=dialog,
        last_sign_of_life=max(view.last_sign_of_life, evidence.at) if changed else view.last_sign_of_life,
    )


def _dialog(view: AgentView, evidence: Evidence) -> Dialog | None:
    """A witness that only says "permission" or "some dialog" does not blur a question that is known as one."""
    if evidence.signal not in (Signal.ASKED, Signal.BLOCKED):
        return None
    seen = next((dialog for dialog in Dialog if dialog.value == evidence.detail), Dialog.OTHER)
    return view.dialog if view.dialog and seen in (Dialog.PERMISSION, Dialog.OTHER) else seen


def _count_tool(view: AgentView, evidence: Evidence) -> AgentView:
    """Tools are counted by their ids, in whatever order their events are read."""
    tool = str(evidence.data.get("tool_use_id", ""))
    if evidence.signal is Signal.TOOL_STARTED and tool:
        return replace(view, tools_running=view.tools_running | {tool})
    if evidence.signal in _CLOSES_TOOL:
        return replace(view, tools_running=view.tools_running - {tool})
    return view


def _close(view: AgentView, evidence: Evidence) -> AgentView:
    """The end of a turn ends its tools; only a normal end, a failure or an exit ends its background work."""
    if evidence.signal in (Signal.TURN_PAUSED, Signal.BACKGROUND):
        return replace(view, tools_running=frozenset(), background_work=True)
    if evidence.signal in _ENDS_WORK:
        return replace(view, tools_running=frozenset(), background_work=False)
    return replace(view, tools_running=frozenset()) if evidence.signal is Signal.IDLE else view


def _alive(view: AgentView, evidence: Evidence) -> AgentView:
    if evidence.signal in _NO_LIFE or evidence.at <= view.last_sign_of_life:
        return view
    return replace(view, last_sign_of_life=evidence.at)


def mermaid() -> str:
    """The table as a state diagram, one arrow per pair of states, for `docs/architecture.md`."""
    arrows: dict[tuple[AgentState, AgentState], list[str]] = {}
    for signal, moves in TRANSITIONS.items():
        for source, target in moves.items():
            if source is not target:
                arrows.setdefault((source, target), []).append(signal.value)
    arrows.setdefault((S.WORKING, S.COMPLETE), []).append("exited (done)")
    order = list(S)
    lines = ["stateDiagram-v2", "    [*] --> spawning", "    [*] --> unknown: adopted"]
    for (source, target), signals in sorted(arrows.items(), key=lambda item: [order.index(s) for s in item[0]]):
        lines.append(f"    {source} --> {target}: {', '.join(signals)}")
    return "\n".join(lines)
