"""The API without a daemon, for one command: the same application, on the same database, in this process.

Nothing is claimed and nothing is started here; what a command leaves in the database, the next daemon carries out.
The caller holds the lock of the state directory.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx

from ccm_orchestrator import __version__
from ccm_orchestrator.adapters.clock import SystemClock
from ccm_orchestrator.adapters.tmux.server import Address, find_tmux, run_tmux
from ccm_orchestrator.adapters.tmux.terminal import TmuxTerminal
from ccm_orchestrator.api.app import create_app
from ccm_orchestrator.api.services import ApiOptions, ApiServices
from ccm_orchestrator.cli.reaching import impatient
from ccm_orchestrator.client.carriers import AwaitingCarrier
from ccm_orchestrator.engine.approvals import Approvals
from ccm_orchestrator.engine.bus import Bus
from ccm_orchestrator.engine.control import Control
from ccm_orchestrator.engine.queues import Queues
from ccm_orchestrator.engine.spending import Spending
from ccm_orchestrator.errors import TerminalError
from ccm_orchestrator.ports.world import Clock
from ccm_orchestrator.security.identity import Identity
from ccm_orchestrator.security.keyring import KeyRing
from ccm_orchestrator.security.places import make_private
from ccm_orchestrator.security.rates import RateLimits, Rates
from ccm_orchestrator.security.secrets import LocalSecrets, load_local_secrets
from ccm_orchestrator.settings import Settings
from ccm_orchestrator.wiring.building import (
    Stores,
    build_drivers,
    build_launchpad,
    build_outputs,
    build_sessions,
    build_standing,
    build_stores,
    build_tending,
    build_trust,
)
from ccm_orchestrator.wiring.targets import build_budget

TMUX_TIMEOUT_S = 5.0
NO_DAEMON = "Only the daemon speaks with Supabase, and it does not run: start it with `ccm-orchestrator serve`."


@asynccontextmanager
async def open_offline(settings: Settings) -> AsyncIterator[AwaitingCarrier]:
    """Raises: StoreError when the database cannot be opened; InvalidSettings."""
    make_private(settings.state_directory)
    stores = build_stores(settings)
    terminal = TmuxTerminal(
        settings.state_directory / "tmux.conf",
        settings.tmux.socket_name,
        settings.tmux.socket_directory,
        settings.tmux.session,
        control_mode=False,
    )
    await stores.database.open()
    try:
        if server_runs(settings):
            await terminal.start()
        secrets = load_local_secrets(settings.state_directory)
        app = create_app(_services(settings, stores, terminal, secrets))
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        carrier = AwaitingCarrier.to("http://127.0.0.1:1", secrets.api_token.reveal(), impatient(), transport=transport)
        async with carrier.http:
            yield carrier
    finally:
        await terminal.stop()
        await stores.database.close()


def server_runs(settings: Settings) -> bool:
    """Whether there is a tmux server to look at. One is never started here: it would belong to this login session."""
    tmux = settings.tmux
    try:
        binary, _ = find_tmux()
        address = Address(binary, tmux.socket_name, tmux.socket_directory, tmux.session)
        return run_tmux(address, ["list-sessions"], TMUX_TIMEOUT_S).returncode == 0
    except TerminalError:
        return False


def _options(settings: Settings, clock: Clock) -> ApiOptions:
    return ApiOptions(
        version=__version__,
        system_id=settings.system_id,
        started_at=clock.now(),
        max_agents=settings.max_agents,
        queue_limit=settings.queue_limit,
        trouble=lambda: "stopped",
    )


def _services(settings: Settings, stores: Stores, terminal: TmuxTerminal, secrets: LocalSecrets) -> ApiServices:
    clock, profiles = SystemClock(), settings.profiles()
    bus = Bus(stores.events)
    queues = Queues(stores.tasks, out_of_reach={"supabase": NO_DAEMON} if settings.supabase.url else None)
    drivers = build_drivers(settings, dict(os.environ), stores.tasks)
    control = Control(
        queues=queues,
        journal=stores.journal,
        outbox=stores.outbox,
        bus=bus,
        terminal=terminal,
        launchpad=build_launchpad(settings),
        drivers=drivers,
        profiles=profiles,
        approvals=Approvals(stores.approval_rules, settings.approval_rules(), clock),
        acceptance=stores.tasks,
        clock=clock,
        token_of=secrets.run_token,
        poke=lambda: None,
    )
    tending = build_tending(settings, dict(os.environ), stores, control, queues, bus)
    return ApiServices(
        control=control,
        store=stores.tasks,
        events=stores.events,
        bus=bus,
        terminal=terminal,
        profiles=profiles,
        secrets=secrets,
        identity=Identity(secrets.api_token, stores.keys, clock),
        keys=KeyRing(stores.keys, clock),
        rates=RateLimits(Rates(), clock.uptime_s),
        options=_options(settings, clock),
        queues=queues,
        audit=stores.audit,
        incidents=stores.incidents,
        notices=stores.notices,
        sessions=build_sessions(settings, stores, control, bus, drivers),
        outputs=build_outputs(settings, stores, bus),
        standing=build_standing(settings, dict(os.environ), stores, control, tending),
        trust=build_trust(stores, drivers, queues, control),
        spending=Spending(build_budget(settings.budget), stores.figures, clock, settings.system_id),
    )
