"""Builds the parts of a daemon from the settings; nothing is opened or started by it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ccm_orchestrator import __version__
from ccm_orchestrator.adapters.claude.driver import ClaudeDriver
from ccm_orchestrator.adapters.clock import SystemClock
from ccm_orchestrator.adapters.generic.driver import GenericDriver
from ccm_orchestrator.adapters.rundir import RunDirectories
from ccm_orchestrator.adapters.sqlite.approvals import SqliteApprovalRules
from ccm_orchestrator.adapters.sqlite.audit import SqliteAuditLog
from ccm_orchestrator.adapters.sqlite.database import Database
from ccm_orchestrator.adapters.sqlite.events import SqliteEventStore
from ccm_orchestrator.adapters.sqlite.figures import SqliteFigures
from ccm_orchestrator.adapters.sqlite.incidents import SqliteIncidentStore
from ccm_orchestrator.adapters.sqlite.journal import SqliteJournal
from ccm_orchestrator.adapters.sqlite.keys import SqliteKeyStore
from ccm_orchestrator.adapters.sqlite.notices import SqliteNoticeQueue
from ccm_orchestrator.adapters.sqlite.outbox import SqliteOutbox
from ccm_orchestrator.adapters.sqlite.sessions import SqliteSessionStore
from ccm_orchestrator.adapters.sqlite.standing import SqliteStandingStore
from ccm_orchestrator.adapters.sqlite.tasks import SqliteTaskStore
from ccm_orchestrator.adapters.sqlite.trust import SqliteTrustStore
from ccm_orchestrator.adapters.tmux.terminal import TmuxTerminal
from ccm_orchestrator.adapters.watch import FileWatch
from ccm_orchestrator.adapters.workshops import GitWorkshops
from ccm_orchestrator.directories import make_directory
from ccm_orchestrator.domain.supervision import RetryPolicy
from ccm_orchestrator.engine.bus import Bus
from ccm_orchestrator.engine.control import Control
from ccm_orchestrator.engine.failpoints import (
    FAIL_POINTS,
    Reach,
    Stall,
    crash_at,
    hang_at,
    reach_nothing,
    stall_at,
    stall_nowhere,
)
from ccm_orchestrator.engine.outputs import Outputs
from ccm_orchestrator.engine.parts import Limits
from ccm_orchestrator.engine.queues import Queues
from ccm_orchestrator.engine.receipts import Receipts
from ccm_orchestrator.engine.sessions import Sessions
from ccm_orchestrator.engine.standing_agents import StandingAgents
from ccm_orchestrator.engine.tending import Tending
from ccm_orchestrator.engine.trust import ProjectTrust
from ccm_orchestrator.errors import StoreUnavailable
from ccm_orchestrator.ports.agents import AgentDriver
from ccm_orchestrator.ports.systems import SystemInfo
from ccm_orchestrator.ports.tasks import TaskStore
from ccm_orchestrator.programs import PACKAGE, is_frozen
from ccm_orchestrator.security.doors import RemoteAddress, remote_address
from ccm_orchestrator.security.rates import Rates
from ccm_orchestrator.settings import Settings


def hook_script(state_directory: Path) -> Path:
    """`hooks/ccm-hook`: beside the package in a checkout, inside it when installed. What the one-file binary unpacked
    goes with the daemon, and agents do not: it is copied to where it stays."""
    installed = PACKAGE / "hooks" / "ccm-hook"
    found = installed if installed.exists() else PACKAGE.parent / "hooks" / "ccm-hook"
    return keep_copy(found, state_directory / "hooks") if is_frozen() else found


def keep_copy(program: Path, directory: Path) -> Path:
    """Replaced whole: an agent may be starting the former one. Raises: StoreUnavailable."""
    kept = directory / program.name
    fresh = directory / f".{program.name}.{os.getpid()}"
    try:
        make_directory(directory)
        fresh.write_bytes(program.read_bytes())
        fresh.chmod(0o700)
        fresh.replace(kept)
    except OSError as error:
        raise StoreUnavailable(f"{kept} cannot be written: {error.strerror}.") from error
    return kept


@dataclass(frozen=True)
class Stores:
    """The embedded database and what stands on it."""

    database: Database
    tasks: SqliteTaskStore
    journal: SqliteJournal
    events: SqliteEventStore
    outbox: SqliteOutbox
    approval_rules: SqliteApprovalRules
    audit: SqliteAuditLog
    keys: SqliteKeyStore
    sessions: SqliteSessionStore
    standing: SqliteStandingStore
    incidents: SqliteIncidentStore
    notices: SqliteNoticeQueue
    figures: SqliteFigures
    trust: SqliteTrustStore


def build_stores(settings: Settings) -> Stores:
    """Nothing is opened yet."""
    keep = settings.backups.keep
    database = Database(settings.database, settings.state_directory / "backups", keep)
    clock = SystemClock()
    return Stores(
        database,
        SqliteTaskStore(database, clock, settings.queue_limit),
        SqliteJournal(database, clock),
        SqliteEventStore(database),
        SqliteOutbox(database),
        SqliteApprovalRules(database),
        SqliteAuditLog(database),
        SqliteKeyStore(database),
        SqliteSessionStore(database),
        SqliteStandingStore(database, clock),
        SqliteIncidentStore(database),
        SqliteNoticeQueue(database),
        SqliteFigures(database, clock),
        SqliteTrustStore(database),
    )


def build_terminal(settings: Settings) -> TmuxTerminal:
    """Nothing is started yet."""
    tmux = settings.tmux
    return TmuxTerminal(
        settings.state_directory / "tmux.conf",
        tmux.socket_name,
        tmux.socket_directory,
        tmux.session,
        start_command=tmux.start_command,
    )


def build_launchpad(settings: Settings) -> RunDirectories:
    return RunDirectories(
        settings.state_directory,
        memory_group=settings.memory_group,
        stop_grace_s=settings.stop.terminate_grace_s,
    )


def build_drivers(settings: Settings, environment: Mapping[str, str], tasks: TaskStore) -> Mapping[str, AgentDriver]:
    """By name, as profiles name them."""

    workshops = build_workshops(settings, environment)

    async def project_directories() -> list[Path]:
        return [*(project.path for project in await tasks.projects()), *await workshops.directories()]

    claude = ClaudeDriver(
        settings.claude.executable, environment, hook_script(settings.state_directory), project_directories
    )
    return {"claude": claude, "generic": GenericDriver(environment)}


def build_sessions(
    settings: Settings, stores: Stores, control: Control, bus: Bus, drivers: Mapping[str, AgentDriver]
) -> Sessions:
    return Sessions(stores.sessions, stores.tasks, control, bus, drivers, settings.profiles(), SystemClock())


def build_outputs(settings: Settings, stores: Stores, bus: Bus) -> Outputs:
    """Nothing is watched yet."""
    watch = FileWatch(settings.state_directory)
    return Outputs(stores.tasks, stores.journal, build_launchpad(settings), watch, bus)


def build_workshops(settings: Settings, environment: Mapping[str, str]) -> GitWorkshops:
    return GitWorkshops(settings.state_directory / "agents", environment)


def build_tending(
    settings: Settings, environment: Mapping[str, str], stores: Stores, control: Control, queues: Queues, bus: Bus
) -> Tending:
    """Nobody is tended yet."""
    clock = SystemClock()
    receipts = Receipts(stores.standing, queues, stores.journal, bus, clock)
    workshops = build_workshops(settings, environment)
    return Tending(stores.standing, control, queues, receipts, bus, workshops, clock)


def build_standing(
    settings: Settings, environment: Mapping[str, str], stores: Stores, control: Control, tending: Tending
) -> StandingAgents:
    workshops = build_workshops(settings, environment)
    return StandingAgents(stores.standing, control, tending, workshops, settings.profiles())


def build_trust(stores: Stores, drivers: Mapping[str, AgentDriver], queues: Queues, control: Control) -> ProjectTrust:
    return ProjectTrust(stores.trust, drivers, stores.standing, queues, control, SystemClock())


def build_system(settings: Settings) -> SystemInfo:
    """What this machine says of itself."""
    return SystemInfo(
        settings.system_id, settings.system_name, __version__, settings.max_agents, tuple(settings.labels)
    )


def build_limits(settings: Settings) -> Limits:
    return Limits(
        max_agents=settings.max_agents,
        lease_s=settings.lease_s,
        lease_margin_s=min(10.0, settings.lease_s / 3),
        renew_interval_s=settings.renew_interval_s,
        takeover_grace_s=settings.takeover_grace_s,
        rescue_interval_s=min(15.0, settings.takeover_grace_s / 4),
        poll_interval_s=settings.poll_interval_s,
        sweep_interval_s=settings.sweep_interval_s,
        beat_s=settings.watchdog_s,
        interrupt_grace_s=settings.stop.interrupt_grace_s,
        terminate_grace_s=settings.stop.terminate_grace_s,
    )


def build_retry(settings: Settings) -> RetryPolicy:
    return RetryPolicy(
        infra_base_s=settings.retry.first_delay_s,
        infra_cap_s=settings.retry.longest_delay_s,
        infra_tries=settings.retry.tries,
        jitter=settings.retry.jitter,
    )


def build_second_door(settings: Settings) -> RemoteAddress | None:
    """None: other machines do not reach the daemon. Raises: InvalidSettings."""
    remote = settings.remote
    tls = (remote.tls_certificate, remote.tls_key)
    return remote_address(remote.host, remote.port, remote.expose, tls, remote.plain_http)


def build_rates(settings: Settings) -> Rates:
    api, remote = settings.api, settings.remote
    return Rates(per_credential=api.requests_per_s, per_address=remote.requests_per_s, streams=api.streams)


def build_reach(settings: Settings) -> Reach:
    faults = settings.faults
    if faults.crash_at:
        return crash_at(faults.crash_at)
    if faults.hang_at in FAIL_POINTS and faults.hang_until:
        return hang_at(faults.hang_at, faults.hang_until)
    return reach_nothing


def build_stall(settings: Settings) -> Stall:
    """For every loop of the daemon, whichever of them hangs."""
    faults = settings.faults
    if faults.hang_at and faults.hang_at not in FAIL_POINTS and faults.hang_until:
        return stall_at(faults.hang_at, faults.hang_until)
    return stall_nowhere
