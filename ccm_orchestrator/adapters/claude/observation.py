"""All that can be seen of an agent from outside, as it stands now."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ccm_orchestrator.adapters.claude.paths import ConfigPaths
from ccm_orchestrator.adapters.claude.registry import read_registry
from ccm_orchestrator.adapters.claude.status_line import read_status
from ccm_orchestrator.adapters.claude.stream import read_stream
from ccm_orchestrator.adapters.claude.transcript import read_transcript
from ccm_orchestrator.domain.agent import Evidence
from ccm_orchestrator.domain.run import Mode
from ccm_orchestrator.ports.agents import SessionTrace
from ccm_orchestrator.ports.launching import STREAM_FILE


def observe(trace: SessionTrace, paths: ConfigPaths) -> Sequence[Evidence]:
    """Blocking, a few small reads; the weaker witnesses first. Stateless: told twice means the same."""
    if trace.run.mode is Mode.PRINT:
        return read_stream(trace.run_directory / STREAM_FILE)
    witnesses = [*_transcript(trace), read_status(trace.run_directory)]
    if trace.agent is not None:
        witnesses.append(read_registry(paths.sessions, trace.agent, trace.session_id))
    return [evidence for evidence in witnesses if evidence is not None]


def _transcript(trace: SessionTrace) -> Sequence[Evidence]:
    return read_transcript(Path(trace.transcript_path)) if trace.transcript_path else ()
