"""What the routers work with, in one value that `wiring` makes. Knows nothing of FastAPI, which is loaded later."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from ccm_orchestrator.domain.profiles import Profile
from ccm_orchestrator.domain.task import MAX_PROMPT_BYTES
from ccm_orchestrator.engine.bus import Bus
from ccm_orchestrator.engine.control import Control
from ccm_orchestrator.engine.outputs import Outputs
from ccm_orchestrator.engine.queues import Queues
from ccm_orchestrator.engine.sessions import Sessions
from ccm_orchestrator.engine.spending import Spending
from ccm_orchestrator.engine.standing_agents import StandingAgents
from ccm_orchestrator.engine.trust import ProjectTrust
from ccm_orchestrator.ports.audit import AuditLog
from ccm_orchestrator.ports.incidents import IncidentStore
from ccm_orchestrator.ports.journal import EventStore
from ccm_orchestrator.ports.notices import NoticeQueue
from ccm_orchestrator.ports.tasks import TaskStore
from ccm_orchestrator.ports.terminal import Terminal
from ccm_orchestrator.security.identity import Identity
from ccm_orchestrator.security.keyring import KeyRing
from ccm_orchestrator.security.rates import RateLimits
from ccm_orchestrator.security.secrets import LocalSecrets

ESCAPED = 6
"""JSON may spell one byte of a text in six."""


CountRequest = Callable[[str, str, int, float], None]
"""Method, template of the route, status, seconds until the answer began."""


async def no_metrics() -> bytes:
    return b""


@dataclass(frozen=True, slots=True)
class ApiOptions:
    version: str
    system_id: str
    started_at: datetime
    max_agents: int
    queue_limit: int
    extra_hosts: frozenset[str] = frozenset()
    """Authorities (`name:port`) beside loopback's own under which people reach the daemon, such as a tunnel's."""
    origins: frozenset[str] = frozenset()
    """Of web pages elsewhere that may call the API with a token, exactly as browsers write them, in lower case."""
    max_body_bytes: int = ESCAPED * MAX_PROMPT_BYTES + 65_536
    heartbeat_s: float = 15.0
    """Longest silence of an event stream."""
    stall_s: float = 10.0
    """A listener that takes nothing for so long is dropped; it may come back with its cursor."""
    trouble: Callable[[], str] = lambda: ""
    """One word when the daemon does not do its work (`starting`, `stalled`, `unwritable`), else empty."""
    refusal: Callable[[], str | None] = lambda: None
    """Why the embedded database took no write when last there was one; None: it took it."""


@dataclass(frozen=True, slots=True)
class ApiServices:
    control: Control
    store: TaskStore
    events: EventStore
    bus: Bus
    terminal: Terminal
    profiles: Mapping[str, Profile]
    secrets: LocalSecrets
    identity: Identity
    keys: KeyRing
    rates: RateLimits
    options: ApiOptions
    queues: Queues
    audit: AuditLog
    incidents: IncidentStore
    notices: NoticeQueue
    sessions: Sessions
    outputs: Outputs
    standing: StandingAgents
    trust: ProjectTrust
    spending: Spending
    supabase_health: Callable[[], object] | None = None
    """None: no Supabase project is configured."""
    metrics: Callable[[], Awaitable[bytes]] = no_metrics
    """In Prometheus' text format."""
    count_request: CountRequest | None = None
    """None: nobody counts."""
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the server stops: streams end, and held hooks are let go."""
