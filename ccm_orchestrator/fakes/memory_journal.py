"""What one system remembers, and the event log, in memory."""

from __future__ import annotations

import itertools
import logging
import threading
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from ccm_orchestrator.domain import refusals
from ccm_orchestrator.domain.agent import AgentView
from ccm_orchestrator.domain.dialogue import (
    ON_THEIR_WAY,
    Message,
    MessageStatus,
    PermissionRequest,
    PermissionStatus,
    Verdict,
)
from ccm_orchestrator.domain.events import BusEvent, HookRecord, StoredEvent
from ccm_orchestrator.domain.run import Run, RunState
from ccm_orchestrator.errors import StoreError
from ccm_orchestrator.ports.audit import AuditLog
from ccm_orchestrator.ports.beside import NOTHING, Beside, Telling, tell_nothing
from ccm_orchestrator.ports.journal import EventStore, RunQuery
from ccm_orchestrator.ports.tasks import ClaimRequest
from ccm_orchestrator.ports.world import Clock

log = logging.getLogger(__name__)


class MemoryJournal:
    def __init__(self, clock: Clock, events: EventStore | None = None, audit: AuditLog | None = None) -> None:
        self._clock = clock
        self._events = events or MemoryEventStore()
        self._audit = audit
        self._lock = threading.RLock()
        self._term = 0
        self._claims: dict[str, ClaimRequest] = {}
        self._runs: dict[str, Run] = {}
        self._views: dict[str, AgentView] = {}
        self._messages: dict[str, Message] = {}
        self._permissions: dict[str, PermissionRequest] = {}

    async def begin_term(self, boot_id: str) -> int:
        with self._lock:
            self._term += 1
            return self._term

    async def remember_claim(self, request: ClaimRequest) -> None:
        self._claims[request.request_id] = request

    async def open_claims(self) -> Sequence[ClaimRequest]:
        return list(self._claims.values())

    async def settle_claim(self, request_id: str) -> None:
        self._claims.pop(request_id, None)

    async def save_run(self, run: Run, term: int) -> None:
        with self._lock:
            if term < self._term:
                raise refusals.stale_term(term, self._term)
            self._runs[run.run_id] = run

    async def run(self, run_id: str) -> Run:
        with self._lock:
            runs = list(self._runs.values())
        if run_id in self._runs:
            return self._runs[run_id]
        of_task = [run for run in runs if run.task_id == run_id]
        if of_task:
            return of_task[-1]
        prefix = run_id.removeprefix("ccm-")
        found = [run for run in runs if prefix and run.run_id.startswith(prefix)]
        if len(found) == 1:
            return found[0]
        raise refusals.ambiguous_run(run_id) if found else refusals.run_not_found(run_id)

    async def runs(self, query: RunQuery) -> Sequence[Run]:
        with self._lock:
            newest_first = list(reversed(self._runs.values()))
        if query.before is not None:
            ids = [run.run_id for run in newest_first]
            newest_first = newest_first[ids.index(query.before) + 1 :] if query.before in ids else []
        found = [
            run
            for run in newest_first
            if (run.state is not RunState.ENDED or not query.open_only)
            and query.task_id in (None, run.task_id)
            and query.session_id in (None, run.session_id)
            and query.owner in (None, run.owner)
            and query.project in (None, run.project)
            and query.profile in (None, run.profile)
        ]
        return found[: query.limit]

    async def save_views(self, views: Mapping[str, AgentView]) -> None:
        self._views |= views

    async def views(self, run_ids: Sequence[str]) -> Mapping[str, AgentView]:
        return {run_id: self._views[run_id] for run_id in run_ids if run_id in self._views}

    async def runs_with_intents(self) -> frozenset[str]:
        with self._lock:
            asked = {r.run_id for r in self._permissions.values() if r.status is PermissionStatus.OPEN}
            return frozenset(asked | {m.run_id for m in self._messages.values() if m.status in ON_THEIR_WAY})

    async def add_message(
        self, run_id: str, text: str, message_id: str | None = None, status: MessageStatus = MessageStatus.QUEUED
    ) -> Message:
        now = self._clock.now()
        message = Message(message_id or uuid.uuid4().hex, run_id, text, status, now, now)
        with self._lock:
            return self._messages.setdefault(message.message_id, message)

    async def messages(self, run_id: str) -> Sequence[Message]:
        with self._lock:
            return [message for message in self._messages.values() if message.run_id == run_id]

    async def set_message(self, message_id: str, status: MessageStatus, detail: str = "", answer: str = "") -> Message:
        with self._lock:
            if message_id not in self._messages:
                raise refusals.message_not_found(message_id)
            known, now = self._messages[message_id], self._clock.now()
            message = replace(known, status=status, detail=detail, answer=answer, updated_at=now)
            self._messages[message_id] = message
            return message

    async def add_permission(self, request: PermissionRequest, told: Beside = NOTHING) -> bool:
        with self._lock:
            if request.request_id in self._permissions:
                return False
            self._permissions[request.request_id] = request
            await self._keep(told)
            return True

    async def permission(self, request_id: str) -> PermissionRequest:
        with self._lock:
            if request_id in self._permissions:
                return self._permissions[request_id]
            found = [known for known in self._permissions if request_id and known.startswith(request_id)]
            if len(found) == 1:
                return self._permissions[found[0]]
            raise refusals.ambiguous_permission(request_id) if found else refusals.permission_not_found(request_id)

    async def permissions(self, run_id: str | None = None, open_only: bool = True) -> Sequence[PermissionRequest]:
        with self._lock:
            return [
                request
                for request in self._permissions.values()
                if run_id in (None, request.run_id) and (request.status is PermissionStatus.OPEN or not open_only)
            ]

    async def permissions_since(self, run_id: str, since: datetime | None) -> Sequence[PermissionRequest]:
        found = reversed(await self.permissions(run_id, open_only=False))
        return list(itertools.takewhile(lambda request: since is None or request.created_at >= since, found))

    async def decide_permission(
        self, request_id: str, verdict: Verdict, told: Telling = tell_nothing
    ) -> PermissionRequest:
        with self._lock:
            request = await self.permission(request_id)
            if request.status is not PermissionStatus.OPEN:
                raise refusals.permission_closed(request)
            now = self._clock.now()
            decided = replace(request, status=PermissionStatus.DECIDED, verdict=verdict, decided_at=now)
            return await self._save(decided, told)

    async def reopen_permission(self, request_id: str, told: Telling = tell_nothing) -> None:
        with self._lock:
            request = self._permissions.get(request_id)
            if request is not None and request.status is PermissionStatus.DECIDED:
                opened = replace(request, status=PermissionStatus.OPEN, verdict=None, decided_at=None)
                await self._save(opened, told)

    async def overrule_permission(self, request_id: str, told: Telling = tell_nothing) -> bool:
        with self._lock:
            request = self._permissions.get(request_id)
            if request is None or request.status is not PermissionStatus.DECIDED:
                return False
            await self._save(replace(request, status=PermissionStatus.ANSWERED_ELSEWHERE, verdict=None), told)
            return True

    async def close_permission(self, request_id: str, status: PermissionStatus, told: Telling = tell_nothing) -> bool:
        with self._lock:
            request = self._permissions.get(request_id)
            if request is None or request.status is not PermissionStatus.OPEN:
                return False
            await self._save(replace(request, status=status, decided_at=self._clock.now()), told)
            return True

    async def _save(self, request: PermissionRequest, told: Telling) -> PermissionRequest:
        self._permissions[request.request_id] = request
        await self._keep(told(request))
        return request

    async def _keep(self, told: Beside) -> None:
        await self._events.append(told.events)
        if told.entry is not None and self._audit is not None:
            try:
                await self._audit.record(told.entry)
            except StoreError as error:
                log.error("the audit log cannot be written (%s)", error.message)


class MemoryEventStore:
    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._events: list[StoredEvent] = []
        self._last_seq = 0
        self._hooks: dict[str, HookRecord] = {}

    async def append(self, events: Sequence[BusEvent]) -> Sequence[StoredEvent]:
        with self._lock:
            stored = [StoredEvent(seq, event) for seq, event in enumerate(events, self._last_seq + 1)]
            self._last_seq += len(stored)
            self._events.extend(stored)
            return stored

    async def ingest(self, records: Sequence[tuple[HookRecord, Sequence[BusEvent]]]) -> Sequence[StoredEvent]:
        with self._lock:
            fresh: list[BusEvent] = []
            for record, events in records:
                if record.event_id not in self._hooks:
                    self._hooks[record.event_id] = record
                    fresh.extend(events)
            return await self.append(fresh)

    async def read(
        self, after_seq: int, limit: int = 500, task_id: str | None = None, run_id: str | None = None
    ) -> Sequence[StoredEvent]:
        with self._lock:
            found = [
                stored
                for stored in self._events
                if stored.seq > after_seq
                and task_id in (None, stored.event.task_id)
                and run_id in (None, stored.event.run_id)
            ]
        return found[:limit]

    async def last_seq(self) -> int:
        return self._last_seq

    async def first_seq(self) -> int:
        with self._lock:
            return self._events[0].seq if self._events else 0

    async def hook_records(self, run_id: str) -> Sequence[HookRecord]:
        with self._lock:
            return [record for record in self._hooks.values() if record.run_id == run_id]

    async def prune(self, before: datetime) -> int:
        with self._lock:
            kept = [stored for stored in self._events if stored.event.at >= before]
            removed = len(self._events) - len(kept)
            self._events = kept
            self._hooks = {event_id: record for event_id, record in self._hooks.items() if record.at >= before}
            return removed
