"""The daemon's telemetry: its log, its metrics and its traces, started first and stopped last."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Callable, Mapping
from typing import Protocol

from ccm_orchestrator import __version__
from ccm_orchestrator.domain.events import BusEvent
from ccm_orchestrator.engine.bus import Bus
from ccm_orchestrator.engine.heartbeats import Heart
from ccm_orchestrator.errors import InvalidSettings
from ccm_orchestrator.ports.figures import FigureStore, Spent
from ccm_orchestrator.ports.world import Clock
from ccm_orchestrator.security.secrets import LocalSecrets
from ccm_orchestrator.settings import Settings
from ccm_orchestrator.telemetry.counting import Counting
from ccm_orchestrator.telemetry.facts import log_fact
from ccm_orchestrator.telemetry.following import Follower, Listener
from ccm_orchestrator.telemetry.log_file import LogFile
from ccm_orchestrator.telemetry.loop_lag import watch_loop_lag
from ccm_orchestrator.telemetry.masking import Masker
from ccm_orchestrator.telemetry.metrics import Around, Metrics
from ccm_orchestrator.wiring.records import start_log


class Tracing(Protocol):
    def start(self) -> None: ...

    async def stop(self) -> None: ...

    def note(self, event: BusEvent) -> None: ...


class Telemetry:
    def __init__(
        self,
        settings: Settings,
        environment: Mapping[str, str],
        store: FigureStore,
        clock: Clock,
        trouble: Callable[[], str],
        supabase_state: Callable[[], str | None],
        spent: Callable[[], Spent],
    ) -> None:
        self._settings = settings
        self._environment = environment
        self._log_file: LogFile | None = None
        self._masker = Masker()
        self._follower: Follower | None = None
        self._tracing: Tracing | None = None
        self._lag: asyncio.Task[None] | None = None
        around = Around(
            version=__version__,
            system_id=settings.system_id,
            max_agents=settings.max_agents,
            state_directory=settings.state_directory,
            trouble=trouble,
            supabase_state=supabase_state,
            spent=spent,
            lines_lost=lambda: self._log_file.lost if self._log_file else 0,
        )
        self.metrics = Metrics(store, clock, around)

    def start_log(self) -> None:
        self._log_file, self._masker = start_log(self._settings, self._environment)

    def know(self, secrets: LocalSecrets) -> None:
        self._masker.know((secrets.api_token.reveal(), secrets.internal.reveal()))

    def reopen_log(self) -> None:
        """Somebody has moved the log file."""
        if self._log_file is not None:
            self._log_file.reopen()

    async def follow(self, bus: Bus, heart: Heart | None = None) -> None:
        """Before anything is published that it should hear of. Raises: StoreError, InvalidSettings."""
        listeners: list[Listener] = [log_fact, Counting(self.metrics).count]
        if self._settings.traces.enabled:
            self._tracing = self._build_tracing(bus)
            self._tracing.start()
            listeners.append(self._tracing.note)
        self._follower = Follower(bus, listeners, heart)
        await self._follower.start()
        self._lag = asyncio.create_task(watch_loop_lag(self.metrics.loop_lag_s.observe), name="loop lag")

    async def stop(self) -> None:
        """While the store is still open."""
        if self._lag is not None:
            self._lag.cancel()
        if self._follower is not None:
            await self._follower.stop()
        if self._tracing is not None:
            await self._tracing.stop()

    def _build_tracing(self, bus: Bus) -> Tracing:
        """Imported late: without traces nobody pays for their library, which is an extra. Raises: InvalidSettings."""
        try:
            tracing = importlib.import_module("ccm_orchestrator.telemetry.tracing")
        except ModuleNotFoundError as error:
            raise InvalidSettings(
                "`traces.enabled` is set, but OpenTelemetry is not installed: `pip install 'ccm-orchestrator[otel]'` "
                "into the daemon's environment, or take the setting back."
            ) from error
        to = tracing.exporter(self._settings.traces.endpoint, self._environment)
        built: Tracing = tracing.Tracing(bus.log, to, __version__, self._settings.system_id)
        return built
