"""What the engine is built of: every port, every limit, in one value that `wiring` makes."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ccm_orchestrator.domain.profiles import Profile
from ccm_orchestrator.domain.supervision import RetryPolicy
from ccm_orchestrator.engine.bus import Bus
from ccm_orchestrator.engine.failpoints import Reach, Stall, reach_nothing, stall_nowhere
from ccm_orchestrator.engine.queues import Queues
from ccm_orchestrator.ports.agents import AgentDriver
from ccm_orchestrator.ports.journal import Journal
from ccm_orchestrator.ports.launching import Launchpad, Watch
from ccm_orchestrator.ports.outbox import Outbox
from ccm_orchestrator.ports.systems import SystemInfo
from ccm_orchestrator.ports.terminal import Terminal
from ccm_orchestrator.ports.trust import TrustStore
from ccm_orchestrator.ports.world import Clock, Workspace


@dataclass(frozen=True, slots=True)
class Limits:
    """All in seconds but the counts."""

    max_agents: int = 10
    lease_s: float = 90.0
    lease_margin_s: float = 10.0
    """A lease is trusted until this long before it ends."""
    renew_interval_s: float = 20.0
    takeover_grace_s: float = 600.0
    rescue_interval_s: float = 15.0
    metrics_interval_s: float = 60.0
    poll_interval_s: float = 2.0
    tick_s: float = 1.0
    """How often a run looks at its clocks when nothing happens."""
    sweep_interval_s: float = 5.0
    """How often a doubtful agent is looked at, and all windows are asked who wrote something."""
    look_interval_s: float = 60.0
    """How often everything of a settled agent is looked at when nothing was reported."""
    beat_s: float = 15.0
    """How long a loop may stand still."""
    remote_beat_s: float = 20.0
    """The same for one that calls a store that is somewhere else: longer than a call may take."""
    interrupt_grace_s: float = 30.0
    terminate_grace_s: float = 10.0
    run_directory_age_s: float = 7 * 24 * 3600.0


@dataclass(frozen=True)
class Parts:
    system: SystemInfo
    boot_id: str
    queues: Queues
    journal: Journal
    outbox: Outbox
    bus: Bus
    terminal: Terminal
    launchpad: Launchpad
    watch: Watch
    drivers: Mapping[str, AgentDriver]
    workspace: Workspace
    clock: Clock
    profiles: Mapping[str, Profile]
    trust: TrustStore
    limits: Limits = field(default_factory=Limits)
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    run_token: Callable[[str], str] = lambda run_id: run_id
    """The secret that the agent of a run sends with its permission hook."""
    permission_url: Callable[[str], str | None] = lambda _run_id: None
    """Where the permission hook of a run is answered; None: nowhere but in its terminal."""
    project_profiles: Callable[[Path], Mapping[str, Profile]] | None = None
    """The profiles as a project's own file changes them (raises InvalidSettings); None: projects have no say."""
    chance: Callable[[], float] = random.random
    may_begin: Callable[[], bool] = lambda: True
    """False: nothing more is claimed for now."""
    reach: Reach = reach_nothing
    stall: Stall = stall_nowhere

    @property
    def system_id(self) -> str:
        return self.system.system_id
