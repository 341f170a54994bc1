"""A complete Supabase of one's own: PostgreSQL, PostgREST, a stand-in for Realtime, one address in front of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Coroutine
from datetime import datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self, TypeVar

import httpx
from aiohttp import web

from ccm_orchestrator.devstack.database import Database
from ccm_orchestrator.devstack.gateway import Gateway
from ccm_orchestrator.devstack.keys import Keys
from ccm_orchestrator.devstack.postgres import OWNER, Postgres
from ccm_orchestrator.devstack.postgrest import PostgRest, free_port
from ccm_orchestrator.devstack.problems import DevStackError
from ccm_orchestrator.devstack.programs import Programs
from ccm_orchestrator.devstack.threads import Hands, LoopThread

T = TypeVar("T")
_SETTLE_LIMIT_S = 15.0
_POLL_S = 0.01
_AUTHENTICATOR = "authenticator"


class Realtime(Protocol):
    """What stands behind `/realtime/v1/websocket`; all of it happens on the gateway's event loop."""

    async def start(self) -> None: ...
    async def stop(self) -> None: ...
    async def handle(self, request: web.Request) -> web.StreamResponse: ...


class LocalSupabase:
    """`with LocalSupabase(programs, directory) as stack`. Every method may be called from any thread, and blocks.

    `directory` is where its data and logs are. As root, the user `postgres` must be able to reach it.
    """

    realtime: Realtime | None

    def __init__(
        self,
        programs: Programs,
        directory: Path,
        *,
        template: Path | None = None,
        keys: Keys | None = None,
        port: int | None = None,
        durable: bool = False,
    ) -> None:
        """`template`: a data directory that `make_template` made, which saves most of the time of a first start."""
        self.keys = keys or Keys()
        self.directory = directory
        self._template = template
        self._postgres = Postgres(programs, directory, durable=durable)
        self._rest = PostgRest(programs, directory)
        self._database = Database(lambda: self.database_url, lambda: self.owner_url)
        self._port = port or free_port()
        self.realtime = None
        self._gateway: Gateway | None = None
        self._hands = Hands()
        self._loop = LoopThread()

    # --- addresses and keys ---

    @property
    def url(self) -> str:
        """What a client is given as the address of the project."""
        return f"http://127.0.0.1:{self._port}"

    @property
    def rest_url(self) -> str:
        """PostgREST itself, without the gateway."""
        return self._rest.url

    @property
    def database_url(self) -> str:
        """Of the superuser. There is no TCP port: the address is a socket in a private directory."""
        return self._postgres.url()

    @property
    def owner_url(self) -> str:
        """Of `postgres`, who owns the database and is no superuser, as hosted."""
        return self._postgres.url(OWNER)

    @property
    def anon_key(self) -> str:
        return self.keys.anon_key

    @property
    def service_key(self) -> str:
        return self.keys.service_key

    @property
    def publishable_key(self) -> str:
        return self.keys.publishable_key

    @property
    def secret_key(self) -> str:
        return self.keys.secret_key

    @property
    def jwt_secret(self) -> str:
        return self.keys.jwt_secret

    def token(self, role: str = "authenticated", *, algorithm: str = "HS256", **claims: object) -> str:
        """A token of our own making, such as `token(sub=str(uuid4()), system_id="here")`."""
        return self.keys.token(role, algorithm=algorithm, **claims)

    # --- its life ---

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Returns when every part answers. Raises: DevStackError."""
        self._hands.do(self._start)

    def stop(self) -> None:
        """Nothing of it runs afterwards. It cannot be started again; its data can, by another one."""
        self._database.close()
        self._hands.do(self._stop)
        self._hands.close()
        self._loop.close()

    def on_loop(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Runs it where the gateway and Realtime live, and waits for what it returns."""
        return self._loop.run(coroutine)

    # --- the database ---

    def migrate(self) -> None:
        """Brings the schema up to date and returns when PostgREST has seen it."""
        self._database.migrate()
        self.reload_schema()

    def reload_schema(self) -> None:
        """Returns when PostgREST knows what the database has now."""
        probe = f"devstack_probe_{time.monotonic_ns()}"
        with self._database.superuser() as connection:
            connection.execute(f"create function public.{probe}() returns int language sql as 'select 1'".encode())
            connection.execute("notify pgrst, 'reload schema'")
        self._wait_until(lambda: self._rest_status(f"/rpc/{probe}") == httpx.codes.OK, "has not read the new schema")
        with self._database.superuser() as connection:
            connection.execute(f"drop function public.{probe}()".encode())

    def reset(self) -> None:
        """As new, with the schema it has: no rows, the real time."""
        self._database.empty()

    def set_clock(self, at: datetime | None) -> None:
        """The database's time stands still at `at`; None: it is the real one again."""
        self._database.freeze_clock(at)

    def advance_clock(self, by: timedelta) -> None:
        """From where it is: one that stands stands later, one that goes goes ahead of the real time."""
        self._database.advance_clock(by)

    # --- trouble ---

    def stop_postgres(self) -> None:
        """As if it crashed; what was committed stays."""
        self._database.close()
        self._hands.do(self._postgres.stop)

    def start_postgres(self) -> None:
        self._hands.do(self._postgres.start)

    def restart_postgrest(self) -> None:
        self._hands.do(self._rest.stop)
        self._hands.do(self._rest.start)

    # --- the parts ---

    def _start(self) -> None:
        if not self._postgres.data.exists():
            if self._template is None:
                self._postgres.create()
            else:
                self._postgres.copy(self._template)
        self._postgres.start()
        self._rest.configure(self._postgres.url(_AUTHENTICATOR), self.keys.jwks())
        self._rest.start()
        self._gateway = Gateway(self.keys, self.rest_url, None)
        self._loop.run(self._gateway.start(self._port))

    def _stop(self) -> None:
        if self._gateway is not None:
            self._loop.run(self._gateway.stop())
        self._rest.stop()
        self._postgres.close()

    def _rest_status(self, path: str) -> int:
        headers = {"Authorization": f"Bearer {self.keys.token('service_role')}"}
        return httpx.get(self.rest_url + path, headers=headers, timeout=5, trust_env=False).status_code

    def _wait_until(self, reached: Callable[[], bool], trouble: str) -> None:
        deadline = time.monotonic() + _SETTLE_LIMIT_S
        while not reached():
            if time.monotonic() > deadline:
                raise DevStackError(f"PostgREST {trouble} after {_SETTLE_LIMIT_S:.0f} s.")
            time.sleep(_POLL_S)


def make_template(programs: Programs, directory: Path) -> Path:
    """A data directory with everything that a migrated stack has, for `LocalSupabase(template=…)`."""
    postgres = Postgres(programs, directory)
    postgres.create()
    postgres.start()
    try:
        Database(postgres.url, lambda: postgres.url(OWNER)).migrate()
    finally:
        postgres.close(gently=True)
    return postgres.data
