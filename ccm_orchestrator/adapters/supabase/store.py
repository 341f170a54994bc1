"""Everything that one Supabase project needs, started and stopped in order.

Starting waits for nobody: with the network away the daemon runs, and this machine introduces itself when it is back.
Until it has, and while the schema is not the one that this version knows, every call is refused without being made.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Protocol

from ccm_orchestrator.adapters.supabase.changes import SWEEP_DEGRADED_S, SWEEP_LIVE_S, Changes
from ccm_orchestrator.adapters.supabase.client import BUDGET_S, RestClient
from ccm_orchestrator.adapters.supabase.credentials import Credentials
from ccm_orchestrator.adapters.supabase.health import HealthRecorder, SupabaseHealth
from ccm_orchestrator.adapters.supabase.liveness import SubscriberState, SubscriberStatus
from ccm_orchestrator.adapters.supabase.loop import StoreLoop
from ccm_orchestrator.adapters.supabase.patience import backoff_s
from ccm_orchestrator.adapters.supabase.reports import SupabaseReports
from ccm_orchestrator.adapters.supabase.subscriber import Subscriber
from ccm_orchestrator.adapters.supabase.systems import (
    announce_projects,
    problem_with_schema,
    schema_state,
)
from ccm_orchestrator.adapters.supabase.tasks import SupabaseTaskStore
from ccm_orchestrator.errors import OrchestratorError, SchemaTooNew, SchemaTooOld, StoreError, StoreUnavailable
from ccm_orchestrator.ports.systems import SystemInfo
from ccm_orchestrator.ports.tasks import Project

log = logging.getLogger(__name__)

START_PATIENCE_S = 1.0
"""How long a start waits for the first introduction; after that it goes on behind the daemon's back."""
AGAIN_S = 300.0
"""How often this machine introduces itself anew: rows may have been removed, migrations applied."""

LONGEST_DELAY_S = 4.0
"""Between two tries to introduce this machine, while nothing of it can be done before that."""
STOP_S = 3.0

LocalProjects = Callable[[], Awaitable[Sequence[Project]]]


class Hearer(Protocol):
    """Hears of new tasks. Both are awaited on the store's loop."""

    async def start(self) -> None: ...

    async def stop(self) -> None: ...


@dataclass(frozen=True, slots=True)
class SupabaseOptions:
    system: SystemInfo
    boot_id: str
    queue_limit: int = 100
    sweep_live_s: float = SWEEP_LIVE_S
    sweep_degraded_s: float = SWEEP_DEGRADED_S
    realtime: bool = True
    """Hear of new tasks at once; without it the queue is looked at every `sweep_degraded_s`."""
    migrations: tuple[str, ...] = field(default=())
    """Names of those that this version knows, in order; empty: any schema will do."""
    budget_s: float = BUDGET_S
    """Within which a call is begun anew after a hitch."""


class SupabaseStore:
    def __init__(
        self,
        url: str,
        credentials: Credentials,
        options: SupabaseOptions,
        local_projects: LocalProjects,
        uptime_s: Callable[[], float] = time.monotonic,
        hearer: Callable[[SupabaseStore], Hearer] | None = None,
    ) -> None:
        """`hearer`: in place of Realtime."""
        self.url = url
        self.credentials = credentials
        self.recorder = HealthRecorder()
        self.loop = StoreLoop()
        self.client = RestClient(url, credentials, self.loop, self.recorder, options.budget_s, uptime_s=uptime_s)
        system_id = options.system.system_id
        changes = Changes(options.sweep_live_s, options.sweep_degraded_s, uptime_s)
        self.tasks = SupabaseTaskStore(self.client, system_id, options.queue_limit, changes, self.recorder)
        self.reports = SupabaseReports(self.client, system_id)
        self.uptime_s = uptime_s
        self._options = options
        self._local_projects = local_projects
        self._hearer = (hearer or _realtime)(self) if options.realtime else None
        self._again: asyncio.Event | None = None
        """Of the running loop; None: not started."""
        self._known = False
        """This machine was introduced since the start."""
        self._said = ""
        self._warned = False

    def health(self) -> SupabaseHealth:
        return self.recorder.snapshot()

    @property
    def system_id(self) -> str:
        return self._options.system.system_id

    async def start(self, patience_s: float = START_PATIENCE_S) -> None:
        """Returns when this machine is introduced, or that failed, or the patience is over. Raises nothing."""
        if self._again is not None:
            return
        self._again, self._known, tried = asyncio.Event(), False, asyncio.Event()
        self.client.open()
        self.client.bar(StoreUnavailable(f"Supabase at {self.url} was not reached yet."))
        self.loop.start()
        self.loop.spawn(lambda: self._keep(tried))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience_s):
                await self.loop.run(tried.wait)

    async def stop(self) -> None:
        """Calls in flight end with StoreUnavailable."""
        if self._again is None:
            return
        self._again = None
        await self.loop.run(self._hang_up)
        await asyncio.to_thread(self.loop.stop)

    def introduce_again(self) -> None:
        """Projects were added or removed here, or a person mended something. From any thread."""
        with contextlib.suppress(StoreUnavailable):
            self.loop.spawn(self._wake)

    # --- on the store's loop ---

    async def _hang_up(self) -> None:
        if self._hearer is not None and self._known:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._hearer.stop(), STOP_S)
        await self.client.close()

    async def _wake(self) -> None:
        if self._again is not None:
            self._again.set()

    async def _keep(self, tried: asyncio.Event) -> None:
        attempt = 0
        while (again := self._again) is not None:
            again.clear()
            if await self._introduced():
                attempt, delay_s = 0, AGAIN_S * random.uniform(0.8, 1.2)
            else:
                attempt, delay_s = attempt + 1, 1.0 + min(backoff_s(attempt, random.random()), LONGEST_DELAY_S)
            tried.set()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(again.wait(), delay_s)

    async def _introduced(self) -> bool:
        try:
            await self._introduce()
        except OrchestratorError as error:
            if isinstance(error, StoreError) and (not self._known or isinstance(error, SchemaTooOld | SchemaTooNew)):
                self.client.bar(error)
            self._say(error.message)
        except Exception:  # the keeper's one guard: logged, and tried again
            log.exception("supabase: this machine could not introduce itself")
        else:
            return True
        return False

    def _say(self, problem: str) -> None:
        """Once per problem, however often it is met."""
        if problem and problem != self._said:
            log.warning("supabase: %s", problem)
        if not problem and (self._said or not self._known):
            log.info("supabase: connected to %s", self.url)
        self._said = problem

    def _warn(self) -> None:
        """Of what works, but not as it should; once until it is mended."""
        warnings = self.health().warnings
        if not self._warned:
            for warning in warnings:
                log.warning("supabase: %s", warning)
        self._warned = bool(warnings)

    async def _introduce(self) -> None:
        state, known = await schema_state(self.client), self._options.migrations
        problem = problem_with_schema(state, known)
        self.recorder.schema(state.newest, known[-1] if known else None, problem)
        self._warn()
        if problem is not None:
            raise problem
        self.client.bar(None)
        options = self._options
        await self.tasks.register_system(options.system, options.boot_id)
        await announce_projects(self.client, options.system.system_id, await self._local_projects())
        self._say("")
        if not self._known:
            self._known = True
            if self._hearer is not None:
                await self._hearer.start()
            self.tasks.hint()


class ServerClock:
    """The time of day of the server, as far as it is known: tokens end by it."""

    def __init__(self, credentials: Credentials, uptime_s: Callable[[], float]) -> None:
        self._credentials = credentials
        self.uptime_s = uptime_s

    def now(self) -> datetime:
        return datetime.fromtimestamp(self._credentials.now(), UTC)


def _realtime(store: SupabaseStore) -> Hearer:
    async def token() -> str | None:
        bearer = store.credentials.bearer()
        return None if bearer is None else bearer.reveal()

    def told(state: SubscriberState) -> None:
        live = state.status is SubscriberStatus.LIVE
        store.recorder.subscriber(f"{state.status}: {state.reason}" if state.reason else state.status, live)
        store.tasks.set_live(live)

    return Subscriber(
        store.url,
        store.credentials.key.reveal(),
        token,
        store.system_id,
        on_hint=store.tasks.hint,
        on_gap=store.tasks.hint,
        clock=ServerClock(store.credentials, store.uptime_s),
        on_state=told,
    )
