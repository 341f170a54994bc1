"""What the daemon looks at to know that something is wrong with the machine, its stores or its terminal."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Protocol

from ccm_orchestrator.adapters.sqlite.database import Database
from ccm_orchestrator.domain.incidents import IncidentKind, Trouble
from ccm_orchestrator.engine.incident_watch import Probe
from ccm_orchestrator.errors import StoreError, TerminalError
from ccm_orchestrator.ports.incidents import IncidentStore
from ccm_orchestrator.ports.journal import Journal, RunQuery
from ccm_orchestrator.ports.launching import Launchpad
from ccm_orchestrator.ports.terminal import Terminal, TerminalHealth
from ccm_orchestrator.ports.world import Clock
from ccm_orchestrator.settings import Settings
from ccm_orchestrator.wiring.building import Stores, build_launchpad

log = logging.getLogger(__name__)

STORE_AWAY = timedelta(seconds=30)
"""A store that answers again before is no incident."""
REALTIME_AWAY = timedelta(seconds=120)
REALTIME_RECOVERY_S = 3600.0
"""Nothing is lost without Realtime: nobody is woken for it at once."""
BACKLOG = timedelta(seconds=30)
JUMP_S = 30.0
LEAST_BYTES = 500_000_000
LEAST_SHARE = 0.02
"""Of the disk; on a large one `LEAST_BYTES` are enough."""
PROVE_EVERY = 6
"""Looks between two proofs that the database takes writes."""
MOST_RUNS = 1000


class Health(Protocol):
    @property
    def state(self) -> str: ...

    @property
    def since(self) -> datetime | None: ...

    @property
    def last_error(self) -> str: ...


class Disk(Protocol):
    """As `os.statvfs` has it."""

    @property
    def f_bavail(self) -> int: ...

    @property
    def f_blocks(self) -> int: ...

    @property
    def f_frsize(self) -> int: ...


class DiskProbe:
    def __init__(self, directory: Path, statvfs: Callable[[Path], Disk] = os.statvfs) -> None:
        self._directory = directory
        self._statvfs = statvfs
        self._full = False

    async def look(self) -> Sequence[Trouble] | None:
        """Full until twice the space is free, so that it does not come and go."""
        try:
            disk = self._statvfs(self._directory)
        except OSError:
            return None
        free, size = disk.f_bavail * disk.f_frsize, disk.f_blocks * disk.f_frsize
        least = min(LEAST_BYTES, LEAST_SHARE * size)
        self._full = free < least * (2 if self._full else 1)
        detail = f"{free / 1e6:.0f} MB are free where the state is: free some space."
        where = str(self._directory)
        return [Trouble(IncidentKind.DISK_FULL, where, "disk probe", detail)] if self._full else []


class DatabaseProbe:
    """Whoever writes shows whether it can be written; where nobody does, the book of incidents does now and then.

    A full disk may take a small write and refuse larger ones: what is refused after a proof that went well counts, too.
    """

    def __init__(self, database: Database, incidents: IncidentStore) -> None:
        self._database = database
        self._incidents = incidents
        self._looks = 0
        self._doubted = False
        """A write was refused, and yet the proof went well."""

    async def look(self) -> Sequence[Trouble] | None:
        self._looks += 1
        refusal = self._database.refusal
        again, self._doubted = refusal is not None and self._doubted, False
        if refusal is not None or self._looks % PROVE_EVERY == 1:
            try:
                await self._incidents.apply((), await self._incidents.cursor())
            except StoreError as error:
                return [self._trouble(error.message)]
        self._doubted = refusal is not None
        return [self._trouble(refusal)] if refusal is not None and again else []

    def _trouble(self, sentence: str) -> Trouble:
        return Trouble(IncidentKind.DATABASE_UNWRITABLE, str(self._database.path), "database probe", sentence)


class TerminalProbe:
    """A server that is gone is started anew, for the windows that people look for."""

    def __init__(self, terminal: Terminal, journal: Journal, socket: str) -> None:
        self._terminal = terminal
        self._journal = journal
        self._socket = socket
        self._known_pid: int | None = None
        self._silent_looks = 0

    async def look(self) -> Sequence[Trouble] | None:
        health = await self._terminal.health()
        if not health.ok:
            health = await self._started()
        if not health.ok:
            self._silent_looks += 1  # one slow answer is no proof
            return [await self._trouble(health.detail)] if self._silent_looks > 1 else None
        known, self._known_pid, self._silent_looks = self._known_pid, health.server_pid, 0
        if known in (None, health.server_pid):
            return []
        return [await self._trouble(f"The tmux server (pid {known}) is gone, and agents in its windows with it.")]

    async def _started(self) -> TerminalHealth:
        try:
            await self._terminal.start()
        except TerminalError as error:
            log.debug("tmux is not started: %s", error.message)
        return await self._terminal.health()

    async def _trouble(self, detail: str) -> Trouble:
        try:
            runs = await self._journal.runs(RunQuery(open_only=True, limit=MOST_RUNS))
        except StoreError:
            runs = ()
        ids = tuple(run.run_id for run in runs if run.window is not None)
        return Trouble(IncidentKind.TMUX_SERVER_LOST, f"tmux {self._socket}", "terminal probe", detail, ids)


class SpoolProbe:
    def __init__(self, journal: Journal, launchpad: Launchpad, clock: Clock, here: str) -> None:
        self._journal = journal
        self._launchpad = launchpad
        self._clock = clock
        self._here = here

    async def look(self) -> Sequence[Trouble] | None:
        try:
            runs = await self._journal.runs(RunQuery(open_only=True, limit=MOST_RUNS))
        except StoreError:
            return None
        late = []
        for run in runs:
            oldest = await self._launchpad.spooled(run.run_id, 1)
            if oldest and self._clock.now() - oldest[0].at >= BACKLOG:
                late.append(run.run_id)
        detail = f"What {len(late)} agents report has waited in the spool for over {BACKLOG.seconds} s."
        return [Trouble(IncidentKind.HOOK_BACKLOG, self._here, "spool probe", detail, tuple(late))] if late else []


class ClockProbe:
    """The wall clock against one that never steps."""

    def __init__(self, clock: Clock, here: str) -> None:
        self._clock = clock
        self._here = here
        self._offset_s: float | None = None

    async def look(self) -> Sequence[Trouble] | None:
        known, self._offset_s = self._offset_s, self._clock.now().timestamp() - self._clock.uptime_s()
        step_s = 0.0 if known is None else self._offset_s - known
        if abs(step_s) < JUMP_S:
            return []
        way = "forward" if step_s > 0 else "back"
        detail = f"The clock was set {way} by {abs(step_s):.0f} s. Leases go by another one; times in lists may be odd."
        return [Trouble(IncidentKind.CLOCK_JUMP, self._here, "clock probe", detail)]


class SupabaseProbe:
    """`state` of one of some states, for some time."""

    def __init__(
        self,
        health: Callable[[], Health],
        clock: Clock,
        kind: IncidentKind,
        states: frozenset[str],
        patience: timedelta,
    ) -> None:
        self._health = health
        self._clock = clock
        self._kind = kind
        self._states = states
        self._patience = patience

    async def look(self) -> Sequence[Trouble] | None:
        health = self._health()
        if health.state not in self._states:
            return []
        if health.since is None or self._clock.now() - health.since < self._patience:
            return None
        detail = health.last_error or "Realtime does not tell of new tasks."
        return [Trouble(self._kind, "supabase", "store probe", f"{detail} (since {health.since:%Y-%m-%d %H:%M} UTC)")]


def supabase_probes(health: Callable[[], Health], clock: Clock, realtime: bool) -> list[Probe]:
    away = SupabaseProbe(health, clock, IncidentKind.STORE_UNREACHABLE, frozenset({"away", "refused"}), STORE_AWAY)
    probes = [Probe({IncidentKind.STORE_UNREACHABLE: "the store, which answers again"}, away.look)]
    if realtime:
        poll = SupabaseProbe(health, clock, IncidentKind.REALTIME_AWAY, frozenset({"degraded"}), REALTIME_AWAY)
        healed = {IncidentKind.REALTIME_AWAY: "Realtime, which tells of new tasks again"}
        probes.append(Probe(healed, poll.look, REALTIME_RECOVERY_S))
    return probes


def build_probes(
    settings: Settings, stores: Stores, terminal: Terminal, clock: Clock, health: Callable[[], Health] | None
) -> list[Probe]:
    """`health`: of the Supabase project; None: none is configured."""
    here, journal = settings.system_id, stores.journal
    terminal_probe = TerminalProbe(terminal, journal, settings.tmux.socket_name)
    spool_probe = SpoolProbe(journal, build_launchpad(settings), clock, here)
    database_probe = DatabaseProbe(stores.database, stores.incidents)
    probes = [
        Probe({IncidentKind.CLOCK_JUMP: "a clock that has been steady since"}, ClockProbe(clock, here).look),
        Probe({IncidentKind.DISK_FULL: "free space"}, DiskProbe(settings.state_directory).look),
        Probe({IncidentKind.DATABASE_UNWRITABLE: "the database, which takes writes again"}, database_probe.look),
        Probe({IncidentKind.TMUX_SERVER_LOST: "a tmux server that answers"}, terminal_probe.look),
        Probe({IncidentKind.HOOK_BACKLOG: "the daemon, which has taken everything in"}, spool_probe.look),
    ]
    return probes + (supabase_probes(health, clock, settings.supabase.realtime) if health else [])
