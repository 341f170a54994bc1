"""What can be told of a run that ended, from the truthful source of its mode.

Print mode: the result record counts the whole process. Interactive mode: tokens from the transcript, once per message;
the cost from the status line, and from what Claude Code notes in `.claude.json` when a session ends, which includes the
last request that the status line may have missed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ccm_orchestrator.adapters.claude.paths import ConfigPaths
from ccm_orchestrator.adapters.claude.payload import number, parse_object, table
from ccm_orchestrator.adapters.claude.status_line import run_cost
from ccm_orchestrator.adapters.claude.stream import ended
from ccm_orchestrator.adapters.claude.transcript import last_text, usage_since
from ccm_orchestrator.adapters.plain_files import content_of
from ccm_orchestrator.domain.agent import Signal
from ccm_orchestrator.domain.result import Usage
from ccm_orchestrator.domain.run import Mode
from ccm_orchestrator.ports.agents import Reading, Report, SessionTrace
from ccm_orchestrator.ports.launching import STREAM_FILE


def report(trace: SessionTrace, readings: Sequence[Reading], paths: ConfigPaths) -> Report:
    """Blocking: reads the whole transcript."""
    transcript = _transcript_path(trace, readings)
    if trace.run.mode is Mode.PRINT:
        result = ended(trace.run_directory / STREAM_FILE)
        if result is not None:
            return Report(result.text, result.usage, result.session_id or trace.session_id, transcript)
    return _from_transcript(trace, readings, transcript, paths)


def _from_transcript(
    trace: SessionTrace, readings: Sequence[Reading], transcript: str | None, paths: ConfigPaths
) -> Report:
    said = _last_message(readings)
    if transcript is None:
        return Report(said, Usage(), trace.session_id, None)
    usage = usage_since(Path(transcript), trace.run.created_at)
    cost = run_cost(trace.run_directory, _noted_cost(trace, paths))
    text = said or last_text(Path(transcript), trace.run.created_at)
    return Report(text, replace(usage, cost_usd=cost), trace.session_id, transcript)


def _transcript_path(trace: SessionTrace, readings: Sequence[Reading]) -> str | None:
    told = [reading.transcript_path for reading in readings if reading.transcript_path]
    return trace.transcript_path or (told[-1] if told else None)


def _last_message(readings: Sequence[Reading]) -> str:
    """Of the last turn that ended, as its hook told it: the transcript may lag behind."""
    ends = (Signal.TURN_ENDED, Signal.TURN_PAUSED)
    evidence = [item for reading in readings for item in reading.evidence if not item.subagent]
    said = [item.detail for item in evidence if item.signal in ends]
    return said[-1] if said else ""


def _noted_cost(trace: SessionTrace, paths: ConfigPaths) -> float | None:
    """What the session cost in all, if it was the last one to end in its project."""
    try:
        state = parse_object(content_of(paths.state_file))
    except OSError:
        return None
    project = table(table(state or {}, "projects"), str(trace.run.cwd.resolve()))
    return number(project, "lastCost") if project.get("lastSessionId") == trace.session_id else None
