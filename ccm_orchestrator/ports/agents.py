"""What knows one kind of agent CLI."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Protocol

from ccm_orchestrator.domain.agent import Dialog, Evidence
from ccm_orchestrator.domain.dialogue import PermissionRequest, Verdict
from ccm_orchestrator.domain.events import BusEvent, HookRecord
from ccm_orchestrator.domain.profiles import Profile
from ccm_orchestrator.domain.result import Usage
from ccm_orchestrator.domain.run import ProcessRef, Run
from ccm_orchestrator.domain.trust import Risk
from ccm_orchestrator.ports.launching import Launch
from ccm_orchestrator.ports.terminal import Key


@dataclass(frozen=True, slots=True)
class DriverHealth:
    ok: bool
    executable: Path | None
    version: str
    detail: str
    """One sentence when not ok (what, where, what to do), else empty."""


@dataclass(frozen=True, slots=True)
class LaunchOrder:
    """What a driver is told about the agent to start."""

    run: Run
    prompt: str = field(repr=False)
    profile: Profile
    model: str | None
    budget_usd: float | None
    run_directory: Path
    spool_directory: Path
    """Hooks write here."""
    permission_url: str | None
    """Where a held permission hook is sent; None: no remote answers."""
    token: str = field(repr=False)
    """Per-run secret for `permission_url`."""
    flags: tuple[str, ...] = ()
    """Further arguments, which whoever accepted the task has checked."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What a driver reads in one hook record."""

    evidence: Sequence[Evidence]
    events: Sequence[BusEvent]
    session_id: str | None = None
    transcript_path: str | None = None
    prompt: str | None = None
    """The text of an accepted prompt, for matching with messages."""


@dataclass(frozen=True, slots=True)
class Report:
    """What a driver can tell of a run that ended, from the truthful source of its mode."""

    text: str
    usage: Usage
    session_id: str | None
    transcript_path: str | None


@dataclass(frozen=True, slots=True)
class SessionTrace:
    """What a driver may consult when it observes an agent from outside."""

    run: Run
    agent: ProcessRef | None
    run_directory: Path
    session_id: str | None
    transcript_path: str | None


@dataclass(frozen=True, slots=True)
class AskedPermission:
    dialog: Dialog
    tool_name: str
    tool_input: Mapping[str, object] = field(repr=False)
    suggestions: tuple[object, ...] = ()
    """The agent's own proposals for "don't ask again", as it sent them."""
    directory: str = ""
    """In which the agent works at that moment; empty: not told."""
    permission_mode: str = ""
    subagent: str = ""
    """Kind of the sub-agent that asks; empty: the agent itself."""


class AgentDriver(Protocol):
    """What knows one kind of agent CLI."""

    name: str
    exit_means_done: bool
    """Exit code 0 completes the task (an agent with hooks must say so itself: False)."""
    has_sessions: bool
    """It keeps conversations, and its print mode writes what it does to `STREAM_FILE`."""

    async def probe(self) -> DriverHealth:
        """Whether agents can be started at all; cached for a while, never raises."""

    async def prepare(self, order: LaunchOrder) -> Launch:
        """Raises: AgentMissing, AgentUnsupported, NotLoggedIn, InvalidProject (directory gone or not trusted)."""

    async def risks(self, directory: Path) -> Sequence[Risk]:
        """What the files there would make an agent do of its own accord. Never raises for what they hold."""

    async def resumable(self, run: Run) -> bool:
        """The conversation of an earlier run was kept and can be gone on with."""

    async def has_conversation(self, session_id: str) -> bool:
        """Somebody began it, here or elsewhere, and print mode can go on with it."""

    def checked_flags(self, flags: Sequence[str], tools: Sequence[str] | None) -> tuple[str, ...]:
        """Pure. The arguments of a caller that may use some flags only, and those that keep the agent to `tools`, if
        they are not None. Raises: InputError, naming the first that is refused."""

    def registry_directory(self) -> Path | None:
        """To be watched; None: the driver has no registry."""

    def read_hook(self, record: HookRecord, task_id: str) -> Reading:
        """Pure. A malformed payload gives a `hook_malformed` event and no evidence."""

    async def observe(self, trace: SessionTrace) -> Sequence[Evidence]:
        """Registry, stream and transcript, as they stand now."""

    async def said(self, trace: SessionTrace, place: int | None) -> tuple[Sequence[str], int]:
        """The agent's own texts after a place in its transcript, oldest first, and the place reached. None: only where
        the transcript ends now. Never raises; a driver without transcripts has none."""

    def read_screen(self, screen: str, at: datetime, run_id: str) -> Evidence | None:
        """Pure. None when the screen says nothing."""

    def message_keys(self, text: str, screen: str) -> Sequence[str | Key]:
        """What to type (text) and press (keys) to submit a message at the prompt that `screen` (styled) shows."""

    def awaits_enter(self, text: str, screen: str) -> bool | None:
        """Whether this message stands at the prompt to its end, typed and not submitted; `screen` as for
        `message_keys`. None: this screen does not tell."""

    def permission_answer(self, request: PermissionRequest, verdict: Verdict) -> Mapping[str, object]:
        """The body that answers a held permission hook."""

    def dialog_key(self, request: PermissionRequest, verdict: Verdict, screen: str) -> str | Key | None:
        """What to press, or to type, to give this answer in the dialog that the screen shows.

        None when the screen does not show this very request, or no key gives the answer.
        """

    def read_permission(self, payload: Mapping[str, object]) -> AskedPermission:
        """What a permission hook's body asks. Raises: ValueError when it is not one."""

    async def report(self, trace: SessionTrace, readings: Sequence[Reading]) -> Report: ...
