"""A Supabase of one's own with a queue to claim from.

Calls are measured against PostgREST itself: the gateway of the stand-in is Python in this very process, and would slow
down whatever is compared.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path

import httpx
import psycopg
from postgrest import AsyncPostgrestClient

from benchmarks.fleet import Fleet
from benchmarks.harness import CHECKOUT
from ccm_orchestrator.adapters.supabase.client import RestClient
from ccm_orchestrator.adapters.supabase.credentials import Credentials
from ccm_orchestrator.adapters.supabase.health import HealthRecorder
from ccm_orchestrator.adapters.supabase.keys import shared_signer
from ccm_orchestrator.adapters.supabase.loop import StoreLoop
from ccm_orchestrator.adapters.supabase.tasks import SupabaseTaskStore
from ccm_orchestrator.devstack.programs import find_programs
from ccm_orchestrator.devstack.stack import LocalSupabase
from ccm_orchestrator.ports.systems import SystemInfo
from ccm_orchestrator.ports.tasks import Project
from ccm_orchestrator.security.secrets import Secret

SYSTEM, BOOT = "here", "boot-1"
PROJECT = "sample"
LEASE_S = 600.0
_PREFIX = "/rest/v1"
_FILL = """
insert into public.tasks (project, prompt)
select %(project)s, repeat('Fix the failing test. ', 23)
from generate_series(1, %(wanted)s - (select count(*) from public.tasks where status = 'queued'))
"""


@contextlib.contextmanager
def supabase() -> Iterator[LocalSupabase]:
    """Migrated and empty; nothing of it is left afterwards."""
    programs = find_programs(CHECKOUT / ".cache" / "postgrest")
    with tempfile.TemporaryDirectory(prefix="ccm-bench-", dir="/tmp") as name:
        directory = Path(name)
        directory.chmod(0o711)  # as root, PostgreSQL is somebody else and must get through
        with LocalSupabase(programs, directory) as stack:
            stack.migrate()
            yield stack


def served(stack: LocalSupabase) -> str:
    """The table of a daemon's configuration; the secrets come by the environment."""
    return f'\n[supabase]\nurl = "{stack.url}"\n'


def secrets(stack: LocalSupabase) -> Mapping[str, str]:
    """A publishable key, and the shared secret with which the daemon signs its own tokens."""
    return {"CCM_SUPABASE__KEY": stack.publishable_key, "CCM_SUPABASE__JWT_SECRET": stack.jwt_secret}


async def reaches(world: Fleet, state: str) -> None:
    """Returns when the daemon says so of its connection. Raises: TimeoutError."""
    with world.sandbox.api() as client:
        await world.until(lambda: client.get("/health/supabase").json()["state"] == state)


class Direct(RestClient):
    """Without the gateway."""

    def __init__(self, stack: LocalSupabase, loop: StoreLoop) -> None:
        signer = shared_signer(Secret(stack.jwt_secret))
        credentials = Credentials(stack.rest_url, SYSTEM, Secret(stack.publishable_key), signer=signer)
        super().__init__(stack.rest_url, credentials, loop, HealthRecorder())
        self.asked = 0
        """Requests so far."""
        self._places: dict[str, httpx.URL] = {}

    @property
    def token(self) -> str:
        bearer = self._credentials.bearer()
        assert bearer is not None
        return bearer.reveal()

    def open(self) -> None:
        super().open()
        assert self._http is not None
        self._http.event_hooks["request"].append(self._redirect)

    async def _redirect(self, request: httpx.Request) -> None:
        self.asked += 1
        path = request.url.path
        if path not in self._places:
            self._places[path] = request.url.copy_with(path=path.removeprefix(_PREFIX))
        request.url = self._places[path]


@contextlib.asynccontextmanager
async def bare_client(client: Direct) -> AsyncIterator[AsyncPostgrestClient]:
    """The same library and the same token, and nothing around it."""
    limits = httpx.Limits(max_connections=16, max_keepalive_connections=16)
    headers = {"Authorization": f"Bearer {client.token}"}
    async with httpx.AsyncClient(limits=limits, timeout=10, trust_env=False) as http:
        yield AsyncPostgrestClient(client.url, headers=headers, http_client=http)


class Queue:
    """Get one from `queue`."""

    def __init__(self, store: SupabaseTaskStore, client: Direct, owner: psycopg.Connection) -> None:
        self.store = store
        self.client = client
        self.owner = owner

    def fill(self, count: int) -> None:
        """Nothing but that many queued tasks."""
        self.owner.execute("delete from public.tasks where status <> 'queued'")
        self.owner.execute(_FILL, {"project": PROJECT, "wanted": count})


@contextlib.asynccontextmanager
async def queue(stack: LocalSupabase) -> AsyncIterator[Queue]:
    """As one machine with a project sees it, which proves itself by its own token."""
    loop = StoreLoop()
    loop.start()
    client = Direct(stack, loop)
    client.open()
    try:
        store = SupabaseTaskStore(client, SYSTEM)
        await store.register_system(SystemInfo(SYSTEM, SYSTEM, "0", 100), BOOT)
        await store.add_project(Project(PROJECT, Path("/srv/sample")))
        with psycopg.connect(stack.owner_url, autocommit=True) as owner:
            yield Queue(store, client, owner)
    finally:
        await client.close()
        loop.stop()
