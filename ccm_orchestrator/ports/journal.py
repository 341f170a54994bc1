"""What one system remembers of its own runs, and the durable event log."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from ccm_orchestrator.domain.agent import AgentView
from ccm_orchestrator.domain.dialogue import Message, MessageStatus, PermissionRequest, PermissionStatus, Verdict
from ccm_orchestrator.domain.events import BusEvent, HookRecord, StoredEvent
from ccm_orchestrator.domain.run import Run
from ccm_orchestrator.ports.beside import NOTHING, Beside, Telling, tell_nothing
from ccm_orchestrator.ports.tasks import ClaimRequest


@dataclass(frozen=True, slots=True)
class RunQuery:
    open_only: bool = False
    task_id: str | None = None
    limit: int = 100
    session_id: str | None = None
    """Only runs of this conversation."""
    owner: str | None = None
    """Only runs for this user; None: everybody's."""
    project: str | None = None
    profile: str | None = None
    before: str | None = None
    """Run id: only runs that were begun before that one."""


class Journal(Protocol):
    """What this system must remember of its own runs, whatever the task store is.

    What is `told` of a change of a permission request is in one commit with it, and kept only when there is a change.
    """

    async def begin_term(self, boot_id: str) -> int:
        """Raises the term, committed before it returns; later writes of an older term raise StaleTerm."""

    async def remember_claim(self, request: ClaimRequest) -> None: ...

    async def open_claims(self) -> Sequence[ClaimRequest]:
        """Requests that were sent, or about to be, and never answered."""

    async def settle_claim(self, request_id: str) -> None: ...

    async def save_run(self, run: Run, term: int) -> None:
        """Inserts or replaces. Raises: StaleTerm."""

    async def run(self, run_id: str) -> Run:
        """By run id, agent name, task id (its newest run) or a unique prefix. Raises: RunNotFound."""

    async def runs(self, query: RunQuery) -> Sequence[Run]:
        """Newest first."""

    async def save_views(self, views: Mapping[str, AgentView]) -> None:
        """By run id, all in one commit."""

    async def views(self, run_ids: Sequence[str]) -> Mapping[str, AgentView]: ...

    async def runs_with_intents(self) -> frozenset[str]:
        """Ids of the runs that have an open permission request, or a message on its way."""

    async def add_message(
        self, run_id: str, text: str, message_id: str | None = None, status: MessageStatus = MessageStatus.QUEUED
    ) -> Message:
        """A known `message_id` (chosen by the caller) gives the message that is there."""

    async def messages(self, run_id: str) -> Sequence[Message]:
        """Oldest first."""

    async def set_message(
        self, message_id: str, status: MessageStatus, detail: str = "", answer: str = ""
    ) -> Message: ...

    async def add_permission(self, request: PermissionRequest, told: Beside = NOTHING) -> bool:
        """Nothing, and False, when the `request_id` is known."""

    async def permission(self, request_id: str) -> PermissionRequest:
        """By id or unique prefix. Raises: PermissionNotFound."""

    async def permissions(self, run_id: str | None = None, open_only: bool = True) -> Sequence[PermissionRequest]:
        """Oldest first."""

    async def permissions_since(self, run_id: str, since: datetime | None) -> Sequence[PermissionRequest]:
        """Whatever became of them, newest first; without those behind the first that is older. None: all of the run.

        It costs what it returns, however many requests the run had.
        """

    async def decide_permission(
        self, request_id: str, verdict: Verdict, told: Telling = tell_nothing
    ) -> PermissionRequest:
        """First answer wins. Raises: WrongStatus when it is not open any more."""

    async def reopen_permission(self, request_id: str, told: Telling = tell_nothing) -> None:
        """Decided → open, without its verdict: it could not be carried out. Nothing when it is not decided."""

    async def overrule_permission(self, request_id: str, told: Telling = tell_nothing) -> bool:
        """Decided → answered elsewhere, without its verdict, which came too late; nothing, and False, when it is not
        decided."""

    async def close_permission(self, request_id: str, status: PermissionStatus, told: Telling = tell_nothing) -> bool:
        """Open → `status`; nothing, and False, when it is not open."""


class EventStore(Protocol):
    """The durable log behind every stream."""

    async def append(self, events: Sequence[BusEvent]) -> Sequence[StoredEvent]: ...

    async def ingest(self, records: Sequence[tuple[HookRecord, Sequence[BusEvent]]]) -> Sequence[StoredEvent]:
        """Keeps raw hook records and publishes what they were mapped to, in one commit.

        A known `event_id` is skipped with its events.
        """

    async def read(
        self, after_seq: int, limit: int = 500, task_id: str | None = None, run_id: str | None = None
    ) -> Sequence[StoredEvent]:
        """In order of `seq`."""

    async def last_seq(self) -> int: ...

    async def first_seq(self) -> int:
        """The oldest one kept (retention removes older ones); 0 when empty."""

    async def hook_records(self, run_id: str) -> Sequence[HookRecord]:
        """Raw, in order of arrival."""

    async def prune(self, before: datetime) -> int:
        """Retention: removes what happened before then; returns how many events. `seq` is never used again."""
