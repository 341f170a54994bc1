"""Builds the daemon from the settings, starts it in order, and stops it in the opposite one.

Start: lock → logs → database (check, migrate) → the API's port → watchdog with its orchestrator (adopt, then claim)
→ ready → API. Who calls between the port and the API waits in the port's queue.
Stop: API → orchestrator (stop claiming, flush) → database → lock. Agents are left running.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import logging
import os
import secrets
import socket
from collections.abc import Coroutine, Mapping, Sequence

from ccm_orchestrator import __version__
from ccm_orchestrator.adapters.clock import SystemClock
from ccm_orchestrator.adapters.git import GitWorkspace
from ccm_orchestrator.adapters.sqlite.database import OpenReport
from ccm_orchestrator.adapters.state_lock import StateLock
from ccm_orchestrator.adapters.watch import FileWatch
from ccm_orchestrator.api.listening import listen, places
from ccm_orchestrator.api.services import ApiOptions, ApiServices
from ccm_orchestrator.domain.events import BusEvent, EventKind
from ccm_orchestrator.engine.approvals import Approvals
from ccm_orchestrator.engine.bus import Bus
from ccm_orchestrator.engine.control import Control
from ccm_orchestrator.engine.heartbeats import Hearts
from ccm_orchestrator.engine.orchestrator import Orchestrator
from ccm_orchestrator.engine.parts import Parts
from ccm_orchestrator.engine.queues import Queues
from ccm_orchestrator.engine.watchdog import Watchdog
from ccm_orchestrator.errors import InvalidSettings, StoreError
from ccm_orchestrator.security.identity import Identity, Users
from ccm_orchestrator.security.keyring import KeyRing
from ccm_orchestrator.security.places import make_private
from ccm_orchestrator.security.rates import RateLimits
from ccm_orchestrator.security.secrets import LocalSecrets, load_local_secrets
from ccm_orchestrator.settings import Settings
from ccm_orchestrator.settings.sources import read_project_file
from ccm_orchestrator.wiring.announcing import Announcer
from ccm_orchestrator.wiring.api_life import ApiLife
from ccm_orchestrator.wiring.building import (
    build_drivers,
    build_launchpad,
    build_limits,
    build_outputs,
    build_rates,
    build_reach,
    build_retry,
    build_second_door,
    build_sessions,
    build_stall,
    build_standing,
    build_stores,
    build_system,
    build_tending,
    build_terminal,
    build_trust,
)
from ccm_orchestrator.wiring.lives import Remote
from ccm_orchestrator.wiring.observing import Telemetry
from ccm_orchestrator.wiring.probes import build_probes
from ccm_orchestrator.wiring.self_check import keep_asking, keep_turning
from ccm_orchestrator.wiring.standing_report import keep_saying
from ccm_orchestrator.wiring.starts import Past, Starts, pause_s
from ccm_orchestrator.wiring.telling import Telling
from ccm_orchestrator.wiring.upkeep import keep_tending, keep_up, tell_of_end

log = logging.getLogger(__name__)

EXIT_HUNG = 70
"""The process ends itself when no fresh orchestrator helps; whoever supervises it starts it anew."""
API_BEAT_S = 20.0
READ_MB_PER_S = 10.0
"""What the slowest disk is trusted to read of a database."""


class Daemon:
    """Everything that lives in one process. `start` returns when it is ready, `stop` when it has stopped."""

    def __init__(self, settings: Settings, environment: Mapping[str, str]) -> None:
        self.settings = settings
        self._environment = environment
        self._clock = SystemClock()
        self._boot_id = secrets.token_hex(16)
        self._lock = StateLock(settings.state_directory)
        self._stores = build_stores(settings)
        self._remote = self._build_remote()
        self._users = self._build_users()
        self._second_door = build_second_door(settings)
        self._queues = Queues(self._stores.tasks, [self._remote.queue] if self._remote else ())
        asked = (self._trouble, self._supabase_state, lambda: self._telling.spending.today)
        self._telemetry = Telemetry(settings, environment, self._stores.figures, self._clock, *asked)
        self._bus = Bus(self._stores.events, self._telemetry.metrics.hooks_recorded)
        self._starts = Starts(settings.state_directory / "starts.json")
        self._telling: Telling = Telling(settings, self._stores, self._bus, self._clock, self._starts)
        self._secrets: LocalSecrets | None = None
        self._drivers = build_drivers(settings, environment, self._stores.tasks)
        self._terminal = build_terminal(settings)
        self._announcer = Announcer()
        self._reach, self._stall = build_reach(settings), build_stall(settings)
        self._hearts = Hearts(settings.watchdog_s, self._stall)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ready = asyncio.Event()
        self._duties: list[asyncio.Task[None]] = []
        self._api: ApiLife | None = None
        self._watchdog = Watchdog(
            build=self._build_orchestrator,
            around=self._hearts,
            stacks_file=settings.state_directory / "logs" / "stacks.log",
            proof=self._announcer.proof,
            incident=self._incident,
            give_up=self._give_up,
        )
        self._in_order = True

    async def start(self) -> None:
        """Raises: OrchestratorError (with one sentence) when it cannot."""
        try:
            await self._start()
        except Exception as error:
            self._in_order = False
            self._starts.refused(str(error))
            raise

    async def _start(self) -> None:
        settings = self.settings
        make_private(settings.state_directory)
        self._lock.acquire()
        self._telemetry.start_log()
        self._loop = asyncio.get_running_loop()
        past = self._starts.begin()
        await self._wait_after(past)
        report = await self._stores.database.open(self._opening)
        await self._telling.begin(past)
        if self._remote is not None:
            await self._remote.start()
            self._remote.report(self._hearts.add("Supabase connections"))
        self._secrets = load_local_secrets(settings.state_directory)
        self._telemetry.know(self._secrets)
        await self._telemetry.follow(self._bus, self._hearts.add("telemetry"))
        await self._require_somebody_to_let_in()
        listeners = listen(places(settings.api.host, settings.api.port, self._second_door))
        self._api = self._build_api(self._build_services(self._secrets), listeners)
        self._api.begin()
        settings.url_file.touch(mode=0o600)
        settings.url_file.write_text(f"{settings.api_url}\n", encoding="utf-8")
        self._announcer.working("takes over the agents that are there")
        self._begin(keep_turning(self._hearts.add("event loop")))
        self._watchdog.start()
        await self._report_damage(report)
        await self._ready.wait()
        await self._telling.ready()
        self._begin(*self._build_duties())
        self._announcer.ready()
        log.info("ready on %s, state in %s", settings.api_url, settings.state_directory)

    async def serve(self) -> None:
        """For as long as it answers. Raises: ApiLost; the next start tells people of it."""
        if self._api is None:
            raise AssertionError("the daemon was not started")
        lost = await self._api.lost()
        log.error("%s", lost.message, exc_info=lost.__cause__)
        self._in_order = False
        self._announcer.status(lost.message)
        self._starts.gave_up(lost.message)
        raise lost

    async def stop(self) -> None:
        """Agents live on. Tolerates a start that failed half-way."""
        self._announcer.stopping("stopping: requests and events are finished, agents go on")
        for duty in self._duties:
            duty.cancel()
        watchdog = asyncio.create_task(asyncio.to_thread(self._watchdog.stop))
        if self._api is not None:
            await self._api.stop()
        await watchdog
        await self._terminal.stop()
        if self._remote is not None:
            await self._remote.stop()
        with contextlib.suppress(StoreError):
            await self._bus.publish(BusEvent(EventKind.DAEMON_STOPPED, self._clock.now()))
        if self._in_order:
            self._starts.stopped()
        await self._telemetry.stop()
        self._announcer.working("stopping: the database is closed")
        await self._stores.database.close()
        self._lock.release()

    def _begin(self, *duties: Coroutine[None, None, None]) -> None:
        for task in [asyncio.create_task(duty, name=getattr(duty, "__name__", None)) for duty in duties]:
            task.add_done_callback(tell_of_end)
            self._duties.append(task)

    def _build_duties(self) -> list[Coroutine[None, None, None]]:
        settings, hearts, stores = self.settings, self._hearts, self._stores
        near = places(settings.api.host, settings.api.port)[0]
        api = hearts.add("API", API_BEAT_S)
        health = self._remote.health if self._remote else None
        probes = build_probes(settings, stores, self._terminal, self._clock, health)
        figures = (stores.figures, settings.max_agents, self._trouble, self._supabase_state)
        return [
            keep_asking(api, str(near.address), near.port),
            keep_up(hearts.add("upkeep"), settings, stores, self._control, self._telling, self._clock),
            keep_tending(hearts.add("standing agents"), self._tending),
            self._telling.run(probes, hearts),
            *([keep_saying(self._announcer, hearts.add("status"), *figures)] if self._announcer.heard else []),
        ]

    async def _wait_after(self, past: Past) -> None:
        """One that dies again and again is started again and again, but not at once. By hand it always is."""
        wait_s = pause_s(past.deaths) if self._announcer.heard else 0.0
        if wait_s:
            why = f" ({past.why})" if past.why else ""
            sentence = f"waits {wait_s:g} s before it starts, because it died {past.deaths} times in a row{why}"
            log.warning("the daemon %s", sentence)
            self._announcer.working(sentence, wait_s)
            await asyncio.sleep(wait_s)

    def _opening(self, what: str) -> None:
        """Called from the database's thread, before what takes the longer the larger it is."""
        with contextlib.suppress(OSError):
            self._announcer.working(what, self.settings.database.stat().st_size / 1e6 / READ_MB_PER_S)

    def reopen_log(self) -> None:
        """Somebody has moved the log file."""
        self._telemetry.reopen_log()

    async def _require_somebody_to_let_in(self) -> None:
        """A second door that never had a guest is a mistake. That a key ends must not keep a daemon from starting."""
        if self._second_door is None or self._users is not None:
            return
        if not await self._stores.keys.keys():
            raise InvalidSettings(
                "`remote.host` is set, but nobody could come in: make an API key first with `ccm-orchestrator token "
                "create`, or let users in with `users.scopes`."
            )

    # --- building ---

    def _build_remote(self) -> Remote | None:
        """Imported late: without a Supabase project nobody pays for its clients (13 MB, 0.16 s)."""
        if self.settings.supabase.url is None:
            return None
        remote = importlib.import_module("ccm_orchestrator.wiring.remote")
        built: Remote = remote.build_supabase(
            self.settings, self._environment, self._boot_id, self._stores.tasks.projects, self._clock.uptime_s
        )
        return built

    def _build_users(self) -> Users | None:
        """Imported late: without users nobody pays for the cryptography."""
        if not (self.settings.users.scopes or self.settings.users.grants):
            return None
        built: Users = importlib.import_module("ccm_orchestrator.wiring.users").build_users(
            self.settings, self._environment, self._clock.uptime_s
        )
        return built

    def _build_orchestrator(self) -> Orchestrator:
        """Called in each orchestrator's own thread: nothing of a hung one is used again but the stores."""
        settings = self.settings
        if self._secrets is None:
            raise AssertionError("the daemon was not started")
        return Orchestrator(
            on_ready=self._orchestrator_ready,
            parts=Parts(
                system=build_system(settings),
                boot_id=self._boot_id,
                queues=self._queues,
                journal=self._stores.journal,
                outbox=self._stores.outbox,
                bus=self._bus,
                terminal=self._terminal,
                launchpad=build_launchpad(self.settings),
                watch=FileWatch(settings.state_directory),
                drivers=self._drivers,
                workspace=GitWorkspace(self._environment),
                clock=self._clock,
                profiles=settings.profiles(),
                trust=self._stores.trust,
                limits=build_limits(settings),
                retry=build_retry(settings),
                project_profiles=lambda path: settings.profiles(read_project_file(path)),
                run_token=self._secrets.run_token,
                permission_url=lambda run_id: f"{settings.api_url}/internal/hooks/{run_id}/permission",
                may_begin=self._telling.spending.may_begin,
                reach=self._reach,
                stall=self._stall,
            ),
        )

    def _build_control(self, local_secrets: LocalSecrets) -> Control:
        return Control(
            queues=self._queues,
            journal=self._stores.journal,
            outbox=self._stores.outbox,
            bus=self._bus,
            terminal=self._terminal,
            launchpad=build_launchpad(self.settings),
            drivers=self._drivers,
            profiles=self.settings.profiles(),
            approvals=Approvals(self._stores.approval_rules, self.settings.approval_rules(), self._clock),
            acceptance=self._stores.tasks,
            clock=self._clock,
            token_of=local_secrets.run_token,
            poke=self._watchdog.poke,
            projects_changed=self._remote.introduce_again if self._remote else lambda: None,
        )

    def _build_services(self, local_secrets: LocalSecrets) -> ApiServices:
        settings = self.settings
        self._control = self._build_control(local_secrets)
        self._tending = build_tending(settings, self._environment, self._stores, self._control, self._queues, self._bus)
        options = ApiOptions(
            version=__version__,
            system_id=settings.system_id,
            started_at=self._clock.now(),
            max_agents=settings.max_agents,
            queue_limit=settings.queue_limit,
            extra_hosts=frozenset(settings.api.hosts),
            origins=frozenset(settings.api.origins),
            trouble=self._trouble,
            refusal=lambda: self._stores.database.refusal,
        )
        return ApiServices(
            control=self._control,
            store=self._stores.tasks,
            events=self._stores.events,
            bus=self._bus,
            terminal=self._terminal,
            profiles=settings.profiles(),
            secrets=local_secrets,
            identity=Identity(local_secrets.api_token, self._stores.keys, self._clock, self._users),
            keys=KeyRing(self._stores.keys, self._clock),
            rates=RateLimits(build_rates(settings), self._clock.uptime_s),
            options=options,
            queues=self._queues,
            audit=self._stores.audit,
            incidents=self._stores.incidents,
            notices=self._stores.notices,
            sessions=build_sessions(settings, self._stores, self._control, self._bus, self._drivers),
            outputs=build_outputs(settings, self._stores, self._bus),
            standing=build_standing(settings, self._environment, self._stores, self._control, self._tending),
            trust=build_trust(self._stores, self._drivers, self._queues, self._control),
            spending=self._telling.spending,
            supabase_health=self._remote.health if self._remote else None,
            metrics=self._telemetry.metrics.render,
            count_request=self._telemetry.metrics.request_answered,
        )

    def _build_api(self, services: ApiServices, listeners: Sequence[socket.socket]) -> ApiLife:
        settings, door = self.settings, self._second_door
        return ApiLife(lambda answering: answering.build_server(services, settings, door, listeners), self._ready)

    # --- living ---

    def _trouble(self) -> str:
        if not self._watchdog.ready:
            return "starting"
        if not self._watchdog.healthy:
            return "stalled"
        return "" if self._stores.database.refusal is None else "unwritable"

    def _supabase_state(self) -> str | None:
        return self._remote.health().state if self._remote else None

    def _orchestrator_ready(self) -> None:
        """Called from an orchestrator's thread."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._ready.set)
            asyncio.run_coroutine_threadsafe(self._telling.orchestrator_ready(), self._loop)

    def _incident(self, sentence: str) -> None:
        """Called from the watchdog's thread."""
        self._announcer.status(sentence)
        event = BusEvent(EventKind.DAEMON_INCIDENT, self._clock.now(), data={"message": sentence})
        if self._loop is not None:
            asyncio.run_coroutine_threadsafe(self._bus.publish(event), self._loop)
            asyncio.run_coroutine_threadsafe(self._telling.orchestrator_hung(sentence), self._loop)

    def _give_up(self, sentence: str) -> None:
        """Called from the watchdog's thread. Whoever supervises this process starts it anew."""
        self._announcer.status(sentence)
        self._starts.gave_up(sentence)
        os._exit(EXIT_HUNG)

    async def _report_damage(self, report: OpenReport) -> None:
        if report.damage is None:
            return
        origin = f"restored from {report.restored_from}" if report.restored_from else "begun empty: no sound backup"
        sentence = f"The database was damaged ({report.damage}) and {origin}; the old file is {report.set_aside}."
        log.error("%s", sentence)
        await self._bus.publish(BusEvent(EventKind.DAEMON_INCIDENT, self._clock.now(), data={"message": sentence}))
        await self._telling.damaged(sentence)
