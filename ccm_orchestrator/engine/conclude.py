"""From what is believed of an agent to how its run ended: pure, and None while it goes on."""

from __future__ import annotations

from ccm_orchestrator.domain.agent import AgentState, AgentView, Dialog, Evidence, Signal
from ccm_orchestrator.domain.endings import MarkerKind, read_marker
from ccm_orchestrator.domain.result import FailureKind
from ccm_orchestrator.engine.ending import Ending

_START_UP_DIALOGS = {
    Dialog.TRUST: "Claude Code asks whether it may trust {cwd}; start `claude` there once and answer, "
    "or register the project with `ccm-orchestrator project add`.",
    Dialog.API_KEY: "Claude Code asks whether it may use its environment's API key; start `claude` once and answer.",
    Dialog.LOGIN: "Claude Code has no login; run `claude` once and log in, or set ANTHROPIC_API_KEY for the daemon.",
    Dialog.ONBOARDING: "Claude Code was never started here; run `claude` once and finish its first-run questions.",
    Dialog.SETTINGS: "Claude Code complains about its settings; attach to the agent's window to read what it says.",
    Dialog.BYPASS_WARNING: "Claude Code asks to confirm bypass mode; run `claude --dangerously-skip-permissions` once.",
}
"""Dialogs that nobody answers at three in the morning: the task is held until the machine is set up."""

OUT_OF_MEMORY = "out_of_memory"
START_FAILED = "start_failed"


def conclude(
    view: AgentView, cwd: str, last_text: str, end_marker: bool, limit_resets_at: float | None = None
) -> Ending | None:
    """None also for a turn that ended without the marker that its profile asks for: the agent is asked again first."""
    if view.state is AgentState.COMPLETE:
        return _complete(view, last_text, end_marker)
    if view.state is AgentState.ERROR and view.evidence is not None:
        return _error(view.evidence, last_text, limit_resets_at)
    if view.state is AgentState.GONE:
        return Ending.failed(FailureKind.LOST, "The agent vanished together with its launcher.", last_text)
    if view.state is AgentState.WAITING and view.dialog in _START_UP_DIALOGS:
        return Ending.failed(FailureKind.SETUP, _START_UP_DIALOGS[view.dialog].format(cwd=cwd), last_text)
    return None


def _complete(view: AgentView, last_text: str, end_marker: bool) -> Ending | None:
    if view.evidence is not None and view.evidence.signal is Signal.MARKER_DONE:
        return Ending.succeeded(view.evidence.detail)
    text = last_text
    if view.evidence is not None and view.evidence.signal is Signal.TURN_ENDED:
        text = view.evidence.detail or last_text
    marker = read_marker(text)
    if not end_marker:
        return Ending.succeeded(text)
    if marker.kind is MarkerKind.DONE:
        return Ending.succeeded(marker.text)
    if marker.kind is MarkerKind.ERROR:
        return Ending.failed(FailureKind.AGENT_ERROR, marker.reason or "The agent reported an error.", marker.text)
    return None


def without_marker(last_text: str) -> Ending:
    """The agent was asked for its marker and still gave none."""
    return Ending.failed(FailureKind.AGENT_ERROR, "The agent ended its turn without [DONE] or [ERROR].", last_text)


def _error(evidence: Evidence, last_text: str, limit_resets_at: float | None) -> Ending:
    if evidence.signal is Signal.TURN_FAILED:
        kind = evidence.data.get("failure_kind", FailureKind.API_ERROR)
        resets_at = evidence.data.get("resets_at", limit_resets_at)
        when = float(resets_at) if isinstance(resets_at, int | float) else None
        return Ending.failed(FailureKind(str(kind)), evidence.detail or "The agent's turn failed.", last_text, when)
    if evidence.signal is Signal.MARKER_ERROR:
        return Ending.failed(FailureKind.AGENT_ERROR, evidence.detail or "The agent reported an error.", last_text)
    return _exited(evidence, last_text)


def _exited(evidence: Evidence, last_text: str) -> Ending:
    reason = str(evidence.data.get("reason", ""))
    if reason == OUT_OF_MEMORY:
        return Ending.failed(FailureKind.OUT_OF_MEMORY, evidence.detail or "The agent ran out of memory.", last_text)
    if reason == START_FAILED:
        return Ending.failed(FailureKind.SETUP, evidence.detail or "The agent could not be started.", last_text)
    if evidence.data.get("terminal_lost"):
        return Ending.failed(FailureKind.LOST, "The agent ended with its tmux server.", last_text)
    how = _how(evidence)
    return Ending.failed(FailureKind.AGENT_EXIT, f"The agent's process {how} before its work was done.", last_text)


def _how(evidence: Evidence) -> str:
    if evidence.data.get("signal") is not None:
        return f"was ended by signal {evidence.data['signal']}"
    return f"ended with exit code {evidence.data.get('exit_code')}"
