"""An API on in-memory parts: everything above the ports is real."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC
from pathlib import Path
from typing import Any

import httpx
from fastapi import FastAPI

from ccm_orchestrator.adapters.generic.driver import GenericDriver
from ccm_orchestrator.api.app import create_app
from ccm_orchestrator.api.guards import GuardedRoute, GuardedSocket
from ccm_orchestrator.api.server import ApiServer
from ccm_orchestrator.api.services import ApiOptions, ApiServices, no_metrics
from ccm_orchestrator.client import AsyncClient, Patience
from ccm_orchestrator.domain.dialogue import PermissionRequest, PermissionStatus
from ccm_orchestrator.domain.profiles import BUILT_IN, Profile
from ccm_orchestrator.domain.rules import ApprovalRule
from ccm_orchestrator.domain.run import Mode, Run, RunState
from ccm_orchestrator.domain.spending import Budget
from ccm_orchestrator.domain.task import NewTask
from ccm_orchestrator.engine.approvals import Approvals
from ccm_orchestrator.engine.bus import Bus
from ccm_orchestrator.engine.control import Control
from ccm_orchestrator.engine.outputs import Outputs
from ccm_orchestrator.engine.queues import Queue, Queues
from ccm_orchestrator.engine.receipts import Receipts
from ccm_orchestrator.engine.sessions import Sessions
from ccm_orchestrator.engine.spending import Spending
from ccm_orchestrator.engine.standing_agents import StandingAgents
from ccm_orchestrator.engine.tending import Tending
from ccm_orchestrator.engine.trust import ProjectTrust
from ccm_orchestrator.fakes.clock import FakeClock
from ccm_orchestrator.fakes.driver import FakeDriver
from ccm_orchestrator.fakes.launchpad import FakeLaunchpad
from ccm_orchestrator.fakes.memory_acceptance import MemoryAcceptance
from ccm_orchestrator.fakes.memory_approvals import MemoryApprovalRules
from ccm_orchestrator.fakes.memory_audit import MemoryAuditLog
from ccm_orchestrator.fakes.memory_figures import MemoryFigures
from ccm_orchestrator.fakes.memory_incidents import MemoryIncidentStore
from ccm_orchestrator.fakes.memory_journal import MemoryEventStore, MemoryJournal
from ccm_orchestrator.fakes.memory_keys import MemoryKeyStore
from ccm_orchestrator.fakes.memory_notices import MemoryNoticeQueue
from ccm_orchestrator.fakes.memory_outbox import MemoryOutbox
from ccm_orchestrator.fakes.memory_sessions import MemorySessionStore
from ccm_orchestrator.fakes.memory_standing import FakeWorkshops, MemoryStandingStore
from ccm_orchestrator.fakes.memory_tasks import MemoryTaskStore
from ccm_orchestrator.fakes.memory_trust import MemoryTrustStore
from ccm_orchestrator.fakes.terminal import FakeTerminal
from ccm_orchestrator.fakes.watch import FakeWatch
from ccm_orchestrator.ports.agents import AgentDriver
from ccm_orchestrator.ports.launching import Launch
from ccm_orchestrator.ports.tasks import ClaimRequest, Project
from ccm_orchestrator.security.identity import Identity, Users
from ccm_orchestrator.security.keyring import KeyRing
from ccm_orchestrator.security.rates import RateLimits, Rates
from ccm_orchestrator.security.secrets import LocalSecrets, Secret
from ccm_orchestrator.telemetry.metrics import Metrics

API_TOKEN = "api-canary-" + "a" * 40
INTERNAL_SECRET = "internal-canary-" + "b" * 40
PORT = 8765
PATIENCE_S = 30.0

RUN_A = "a" * 32
RUN_B = "b" * 32
ASK = {"tool_name": "Bash", "tool_input": {"command": "npm test"}}
DIALOG = " Bash command\n\n   npm test\n\n Do you want to proceed?\nblocked permission"


class House:
    def __init__(self, *profiles: Profile, options: Mapping[str, Any] | None = None) -> None:
        self.clock = FakeClock()
        self.store = MemoryTaskStore(self.clock, queue_limit=5)
        self.events = MemoryEventStore()
        self.audit = MemoryAuditLog()
        self.journal = MemoryJournal(self.clock, self.events, self.audit)
        self.incidents = MemoryIncidentStore()
        self.notices = MemoryNoticeQueue()
        self.figures = MemoryFigures(self.store, self.journal, self.clock, self.incidents, self.events)
        self.spending = Spending(Budget(UTC), self.figures, self.clock, "desk")
        self.terminal = FakeTerminal()
        self.watch = FakeWatch()
        self.launchpad = FakeLaunchpad(self.clock, self.watch)
        self.sessions = MemorySessionStore()
        self.driver = FakeDriver()
        self.drivers: dict[str, AgentDriver] = {"claude": self.driver, "generic": GenericDriver({})}
        self.pokes = 0
        self.profiles = {profile.name: profile for profile in (*BUILT_IN, *profiles)}
        self.options = ApiOptions("1.2.3", "desk", self.clock.now(), 10, 5, **(options or {}))
        self.keys = MemoryKeyStore()
        self.standing = MemoryStandingStore(self.clock)
        self.workshops = FakeWorkshops()
        self.trust = MemoryTrustStore()
        self.users: Users | None = None
        self.rules = MemoryApprovalRules()
        self.settings_rules: tuple[ApprovalRule, ...] = ()
        self.rates = Rates(failures_at_once=100_000)
        self.remotes: list[Queue] = []
        self.supabase_health: Callable[[], object] | None = None
        self.metrics: Metrics | None = None
        self.restart()

    def restart(self) -> None:
        """A daemon that comes back: what was durable is still there, nothing else."""
        self.bus = Bus(self.events)
        self.control = Control(
            queues=Queues(self.store, self.remotes),
            journal=self.journal,
            outbox=MemoryOutbox(self.events),
            bus=self.bus,
            terminal=self.terminal,
            launchpad=self.launchpad,
            drivers=self.drivers,
            profiles=self.profiles,
            approvals=Approvals(self.rules, self.settings_rules, self.clock),
            acceptance=MemoryAcceptance(self.store, self.events, self.audit),
            clock=self.clock,
            token_of=lambda run_id: token_of(run_id) if run_id in (RUN_A, RUN_B) else None,
            poke=self._poke,
        )
        queues = Queues(self.store, self.remotes)
        receipts = Receipts(self.standing, queues, self.journal, self.bus, self.clock)
        tending = Tending(self.standing, self.control, queues, receipts, self.bus, self.workshops, self.clock)
        secrets = LocalSecrets(Secret(API_TOKEN), Secret(INTERNAL_SECRET))
        self.app: FastAPI = create_app(
            ApiServices(
                control=self.control,
                store=self.store,
                events=self.events,
                bus=self.bus,
                terminal=self.terminal,
                profiles=self.profiles,
                secrets=secrets,
                identity=Identity(secrets.api_token, self.keys, self.clock, self.users),
                keys=KeyRing(self.keys, self.clock),
                rates=RateLimits(self.rates, self.clock.uptime_s),
                options=self.options,
                queues=Queues(self.store, self.remotes),
                audit=self.audit,
                incidents=self.incidents,
                notices=self.notices,
                sessions=Sessions(
                    self.sessions, self.store, self.control, self.bus, self.drivers, self.profiles, self.clock
                ),
                outputs=Outputs(self.store, self.journal, self.launchpad, self.watch, self.bus),
                standing=StandingAgents(self.standing, self.control, tending, self.workshops, self.profiles),
                trust=ProjectTrust(self.trust, self.drivers, self.standing, queues, self.control, self.clock),
                spending=self.spending,
                supabase_health=self.supabase_health,
                metrics=self.metrics.render if self.metrics else no_metrics,
                count_request=self.metrics.request_answered if self.metrics else None,
            )
        )

    async def prepare(self) -> None:
        await self.terminal.start()
        await self.store.add_project(Project("shop", Path("/srv/shop"), "planning"))
        await self.store.add_project(Project("blog", Path("/srv/blog")))

    async def agent(self, run_id: str = RUN_A, **changes: Any) -> Run:
        """A running agent with its task, its window and nothing observed yet."""
        task, _ = await self.store.enqueue(NewTask("blog", "Fix the test\nand say so", owner=changes.get("owner")))
        (task,) = await self.store.claim(ClaimRequest(f"claim-{run_id}", "desk", "boot", 1, 60.0))
        await self.store.begin(task.key, run_id)
        argv = await self.launchpad.prepare(run_id, 0, Launch(["claude"], {}, Path("/srv/blog")))
        window = await self.terminal.open_window(run_id, argv)
        self.launchpad.start(run_id)
        values: dict[str, Any] = {"state": RunState.RUNNING, "mode": Mode.INTERACTIVE, "profile": "executor"}
        values |= {"task_id": task.task_id}
        values |= {"cwd": Path("/srv/blog"), "window": window, "session_id": "5bb48bdc", "resumed": False} | changes
        run = Run(
            run_id=run_id,
            fence=task.fence,
            attempt=1,
            term=0,
            project="blog",
            driver="claude",
            created_at=self.clock.now(),
            **values,
        )
        await self.journal.save_run(run, 0)
        return run

    def client(self, token: str | None = API_TOKEN, peer: str = "127.0.0.1", **headers: str) -> httpx.AsyncClient:
        transport = httpx.ASGITransport(self.app, raise_app_exceptions=False, client=(peer, 50000))
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        return httpx.AsyncClient(transport=transport, base_url=f"http://127.0.0.1:{PORT}", headers=headers)

    def ask(self, payload: Mapping[str, object] = ASK, run_id: str = RUN_A) -> asyncio.Task[httpx.Response]:
        """The agent's hook sends its request and waits."""

        async def post() -> httpx.Response:
            async with self.client(token_of(run_id)) as client:
                return await client.post(f"/internal/hooks/{run_id}/permission", json=payload, timeout=PATIENCE_S)

        return asyncio.create_task(post())

    async def asked(self, count: int = 1) -> list[PermissionRequest]:
        """The open requests, as soon as there are so many, and somebody holds them."""

        async def enough() -> bool:
            return len(await self.journal.permissions()) >= count

        await eventually(enough, f"{count} open permission requests")
        return list(await self.journal.permissions())

    async def settled(self, request_id: str) -> PermissionRequest:
        async def closed() -> bool:
            return (await self.journal.permission(request_id)).status is not PermissionStatus.OPEN

        await eventually(closed, "a settled permission request")
        return await self.journal.permission(request_id)

    async def kinds(self) -> list[str]:
        return [stored.event.kind.value for stored in await self.events.read(0)]

    def _poke(self) -> None:
        self.pokes += 1


def routes(house: House) -> list[GuardedRoute]:
    guarded = all(isinstance(route, GuardedRoute | GuardedSocket) for route in house.app.routes)
    assert guarded, "a route without a guard"
    return [route for route in house.app.routes if isinstance(route, GuardedRoute)]


def token_of(run_id: str) -> str:
    return f"run-canary-{run_id}"


async def eventually(condition: Callable[[], Awaitable[bool]], what: str, limit_s: float = PATIENCE_S) -> None:
    deadline = time.monotonic() + limit_s
    while not await condition():
        assert time.monotonic() < deadline, f"waited {limit_s:g} s in vain for {what}"
        await asyncio.sleep(0.005)


@asynccontextmanager
async def served(house: House) -> AsyncIterator[ApiServer]:
    """The house's API on a real socket."""
    server = ApiServer(house.app, "127.0.0.1", 0)
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


def connected(house: House, token: str | None = API_TOKEN, patience: Patience | None = None) -> AsyncClient:
    """The Python client on the house's API, without a socket."""
    transport = httpx.ASGITransport(house.app, raise_app_exceptions=False, client=("127.0.0.1", 50000))
    return AsyncClient(f"http://127.0.0.1:{PORT}", token, transport=transport, patience=patience)
