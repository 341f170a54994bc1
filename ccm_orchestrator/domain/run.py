"""Runs: one claim of one task carried out by one agent."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path

from ccm_orchestrator.domain.result import FailureKind, Outcome
from ccm_orchestrator.domain.task import LeaseKey


class RunState(StrEnum):
    INTENDED = "intended"
    """Committed before anything is started: after a crash, nobody knows yet whether a window was opened."""
    LAUNCHED = "launched"
    """The window is open; the launcher may or may not have started the agent yet."""
    RUNNING = "running"
    """The launcher's `run.json` was seen: the agent's process exists or existed."""
    ENDED = "ended"
    """The outcome is settled with the store, or the run was given up."""


class Mode(StrEnum):
    INTERACTIVE = "interactive"
    PRINT = "print"


@dataclass(frozen=True, slots=True)
class WindowRef:
    """A tmux window. Ids restart with each server, so they are paired with the server's identity."""

    server_pid: int
    server_start: int
    """Unix time at which the server started."""
    window_id: str
    """`@3`."""


@dataclass(frozen=True, slots=True)
class ProcessRef:
    """A process that cannot be confused with a later one of the same pid."""

    pid: int
    start: str
    """The start time as the kernel gives it (Linux: field 22 of `/proc/PID/stat`)."""


@dataclass(frozen=True, slots=True)
class Run:
    run_id: str
    """32 hex digits. The agent's name is `ccm-` and the first eight."""
    task_id: str
    fence: int
    attempt: int
    term: int
    """The orchestrator term in which it was intended; an older term's writes are refused."""
    state: RunState
    project: str
    cwd: Path
    profile: str
    driver: str
    mode: Mode
    session_id: str | None
    """The conversation, chosen by us; None for drivers without one."""
    resumed: bool
    """The run continues the conversation of an earlier run."""
    created_at: datetime
    started_at: datetime | None = None
    ended_at: datetime | None = None
    window: WindowRef | None = None
    agent: ProcessRef | None = None
    base_commit: str | None = None
    outcome: Outcome | None = None
    """None while not ended, and for a run whose attempt was given back."""
    ending: str = ""
    """One sentence: why the run ended."""
    failure_kind: FailureKind | None = None
    """Why its attempt failed; a run lost to the machine is resumed by the next one, a failed one starts afresh."""
    store: str = "local"
    """Name of the task store that its task came from."""
    owner: str | None = None
    """The user for whom it works, as its task says; None: the machine's own."""
    daemon_deaths: int = 0
    """Times the daemon died within a minute of starting this task's runs; three make the task `poison`."""

    @property
    def name(self) -> str:
        return agent_name(self.run_id)

    @property
    def key(self) -> LeaseKey:
        return LeaseKey(self.task_id, self.fence)


def agent_name(run_id: str) -> str:
    """`ccm-1f3c9a2b`: the window's name and the short name that people type."""
    return f"ccm-{run_id[:8]}"


_RUN_ID = re.compile(r"[0-9a-f]{32}")


def is_run_id(text: str) -> bool:
    return _RUN_ID.fullmatch(text) is not None
