"""Claude Code's own session registry: one `PID.json` per interactive process, rewritten on every change of state."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from ccm_orchestrator.adapters.claude.payload import Json, number, parse_object, text
from ccm_orchestrator.adapters.plain_files import content_of
from ccm_orchestrator.domain.agent import Dialog, Evidence, Signal, Source
from ccm_orchestrator.domain.run import ProcessRef

_STATUS = {"idle": Signal.IDLE, "busy": Signal.BUSY, "shell": Signal.BACKGROUND, "waiting": Signal.BLOCKED}
_WAITING_FOR = {"permission prompt": Dialog.PERMISSION, "input needed": Dialog.QUESTION}
"""2.1.197 says `permission prompt` of a question, too. `dialog open` is any other."""


def read_registry(sessions: Path, agent: ProcessRef, session_id: str | None) -> Evidence | None:
    """What the agent's entry says; None while it has none, and for the left-over entry of an earlier process."""
    own = _entry(sessions / f"{agent.pid}.json")
    if own is not None:
        return _evidence(own) if _same_start(own, agent.start) else None
    return next((_evidence(entry) for entry in _children(sessions, session_id)), None)


def session_of(sessions: Path, agent: ProcessRef) -> str | None:
    """The conversation that the agent is in now."""
    entry = _entry(sessions / f"{agent.pid}.json")
    return text(entry, "sessionId") or None if entry is not None and _same_start(entry, agent.start) else None


def _children(sessions: Path, session_id: str | None) -> Iterator[Json]:
    """An executable that is a wrapper runs the real one as its child: then only the session tells whose entry it is."""
    if session_id is None or not sessions.is_dir():
        return
    for path in sessions.glob("*.json"):
        entry = _entry(path)
        if entry is not None and entry.get("sessionId") == session_id and _alive(entry):
            yield entry


def _entry(path: Path) -> Json | None:
    try:
        return parse_object(content_of(path))
    except OSError:
        return None


def _evidence(entry: Json) -> Evidence | None:
    signal = _STATUS.get(text(entry, "status"))
    changed_ms = number(entry, "statusUpdatedAt") or number(entry, "updatedAt") or number(entry, "startedAt")
    if signal is None or changed_ms is None:
        return None
    at = datetime.fromtimestamp(changed_ms / 1000, UTC)
    detail = ""
    if signal is Signal.BLOCKED:
        detail = _WAITING_FOR.get(text(entry, "waitingFor"), Dialog.OTHER).value
    return Evidence(Source.REGISTRY, signal, at, detail)


def _same_start(entry: Json, start: str) -> bool:
    """Where both tell the start as the kernel's ticks; elsewhere the pid has to do."""
    told = str(entry.get("procStart", ""))
    return not (told.isdigit() and start.isdigit()) or told == start


def _alive(entry: Json) -> bool:
    pid = entry.get("pid")
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return False
    return _same_start(entry, fields[19])
