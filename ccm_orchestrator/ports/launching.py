"""Run directories, processes, and the wake-ups that come from them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from ccm_orchestrator.domain.events import HookRecord
from ccm_orchestrator.domain.run import ProcessRef

STREAM_FILE = "stream.jsonl"
"""In the run directory: what an agent in print mode wrote to its standard output, one JSON object a line."""


@dataclass(frozen=True, slots=True)
class Launch:
    """How to start one agent, as a driver wants it; `Launchpad.prepare` writes it down for the launcher."""

    argv: Sequence[str]
    env: Mapping[str, str] = field(repr=False)
    """The whole environment of the agent: nothing else is inherited."""
    cwd: Path
    files: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    """Written into the run directory (0600) before the start: settings, prompt."""
    stdin_file: str | None = None
    """Name of a file in `files`; None: the window's terminal."""
    stdout_file: str | None = None
    """Name in the run directory that gets a copy of the agent's stdout, one JSON object a line, while the window
    shows it readably; None: the window's terminal."""
    memory_limit_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class ExitRecord:
    exit_code: int | None
    signal: int | None
    reason: str
    """`exited`, `signalled`, `out_of_memory`, `start_failed`, `terminated` (we asked for it)."""
    detail: str
    ended_at: datetime
    max_rss_bytes: int | None


class Ticket(StrEnum):
    ISSUED = "issued"
    REDEEMED = "redeemed"
    REVOKED = "revoked"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class RunTrace:
    """What the run directory and the process table say of one run."""

    lock_held: bool
    """Its launcher lives."""
    ticket: Ticket
    agent: ProcessRef | None
    """From `run.json`."""
    agent_alive: bool
    exit: ExitRecord | None


class Launchpad(Protocol):
    """Run directories: what passes between the daemon and a launcher."""

    def directory(self, run_id: str) -> Path: ...

    def spool_directory(self, run_id: str) -> Path:
        """Where the run's hooks put their events."""

    async def prepare(self, run_id: str, term: int, launch: Launch) -> Sequence[str]:
        """Writes the run directory and the one-time ticket, durably; returns the launcher's argv."""

    async def revoke(self, run_id: str) -> Ticket:
        """Takes an unredeemed ticket back; returns what the ticket is now (`redeemed`: too late)."""

    async def trace(self, run_id: str) -> RunTrace: ...

    async def interrupt(self, run_id: str) -> bool:
        """SIGINT to the agent; False when it is not alive."""

    async def terminate(self, run_id: str) -> bool:
        """SIGTERM to the agent's process group (the launcher records `terminated`); False when nothing is alive."""

    async def condemn(self, run_id: str) -> None:
        """Takes back its ticket and notes, as durably as it can, that a person wants it ended for good: whatever its
        end looks like, its task is cancelled."""

    async def condemned(self, run_id: str) -> bool: ...

    async def living(self) -> set[str]:
        """Ids of all runs whose launcher or agent lives, whatever else is known of them."""

    async def kill(self, run_id: str) -> bool:
        """SIGKILL to whatever is left of the run's processes."""

    async def read_file(self, run_id: str, name: str, offset: int = 0) -> bytes:
        """Empty when it does not exist (yet)."""

    async def spooled(self, run_id: str, limit: int = 500) -> Sequence[HookRecord]:
        """Hook events that wait to be ingested, oldest first; a file still being written is left for later."""

    async def discard(self, records: Sequence[HookRecord]) -> None:
        """Removes ingested files from the spool."""

    async def sweep(self, keep: frozenset[str], older_than_s: float) -> int:
        """Removes run directories that are neither kept nor locked nor recent; returns how many."""


class WakeupKind(StrEnum):
    SPOOL = "spool"
    EXIT = "exit"
    """`run.json` or `exit.json` was written, or the launcher's process ended."""
    REGISTRY = "registry"
    STREAM = "stream"
    SCREEN = "screen"
    """Something was written in its window; only the engine's own sweep tells this."""


@dataclass(frozen=True, slots=True)
class Wakeup:
    kind: WakeupKind
    run_id: str | None
    """None: any run of that kind may be concerned."""
    name: str | None = None
    """The file's name, where it tells whom a registry change concerns (`PID.json`)."""


class Watch(Protocol):
    """Tells within milliseconds that something of a run changed. A hint only: a slow sweep finds what it missed."""

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    def add_run(self, run_id: str) -> None: ...

    def forget_run(self, run_id: str) -> None: ...

    def add_registry(self, directory: Path) -> None:
        """A directory in which agents keep files about themselves; it need not exist yet. Idempotent."""

    def wakeups(self) -> AsyncIterator[Wakeup]:
        """Endless; equal wakeups that wait are merged."""
