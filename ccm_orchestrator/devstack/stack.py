"""A complete Supabase of one's own: PostgreSQL, PostgREST, a stand-in for Realtime, one address in front of them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx
from aiohttp import web

from ccm_orchestrator.devstack.chaos import ChaosProxy
from ccm_orchestrator.devstack.children import Child
from ccm_orchestrator.devstack.database import Database
from ccm_orchestrator.devstack.faults import Faults
from ccm_orchestrator.devstack.gateway import Gateway, Seen
from ccm_orchestrator.devstack.keys import Keys
from ccm_orchestrator.devstack.postgres import OWNER, Postgres
from ccm_orchestrator.devstack.postgrest import PostgRest, free_port
from ccm_orchestrator.devstack.problems import DevStackError
from ccm_orchestrator.devstack.programs import Programs
from ccm_orchestrator.devstack.realtime.server import RealtimeServer
from ccm_orchestrator.devstack.threads import Hands, LoopThread

T = TypeVar("T")
_SETTLE_LIMIT_S = 15.0
_POLL_S = 0.01
_AUTHENTICATOR = "authenticator"


class LocalSupabase:
    """`with LocalSupabase(programs, directory) as stack`. Every method may be called from any thread, and blocks.

    `directory` is where its data and logs are. As root, the user `postgres` must be able to reach it.
    """

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
        self._durable = durable
        self._template = template
        self._postgres = Postgres(programs, directory, durable=durable)
        self._rest = PostgRest(programs, directory)
        self._database = Database(lambda: self.database_url, lambda: self.owner_url)
        self._port = port or free_port()
        self._gateway = Gateway(self.keys, self.rest_url, self._socket, self._port)
        self._realtime: RealtimeServer | None = None
        self._waking = asyncio.Lock()
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
    def sockets(self) -> Path | None:
        return self._postgres.sockets

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

    @property
    def pids(self) -> list[int]:
        """Of the foreign programs."""
        return [child.pid for child in self._children if child.pid is not None]

    @property
    def ended(self) -> list[str]:
        """Names of programs that ended by themselves."""
        return [child.name for child in self._children if child.ended]

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
        probe, token = f"devstack_probe_{time.monotonic_ns()}", self.keys.token("service_role")
        with self._database.superuser() as connection:
            connection.execute(f"create function public.{probe}() returns int language sql as 'select 1'".encode())
            connection.execute("notify pgrst, 'reload schema'")
        self._wait_until(
            lambda: self._rest_status(f"/rpc/{probe}", token) == httpx.codes.OK, "has not read the new schema"
        )
        with self._database.superuser() as connection:
            connection.execute(f"drop function public.{probe}()".encode())

    def reset(self) -> None:
        """As new, with the schema it has: no rows, the real time, no faults."""
        self.faults.clear()
        if self._realtime is not None:
            self._realtime.mend()
            self._loop.run(self._realtime.start())
        self._database.empty()

    def set_clock(self, at: datetime | None) -> None:
        """The database's time stands still at `at`; None: it is the real one again."""
        self._database.freeze_clock(at)

    def advance_clock(self, by: timedelta) -> None:
        """From where it is: one that stands stands later, one that goes goes ahead of the real time."""
        self._database.advance_clock(by)

    # --- trouble ---

    @property
    def faults(self) -> Faults:
        """What goes wrong with requests to PostgREST: `stack.faults.add(Cut(pattern="/rpc/", executed=True))`."""
        return self._gateway.faults

    @property
    def seen(self) -> Sequence[Seen]:
        """The requests to PostgREST that the gateway answered, oldest first."""
        return list(self._gateway.seen)

    @property
    def realtime(self) -> RealtimeServer:
        """With switches of its own; its coroutines belong on the loop: `stack.on_loop(stack.realtime.stop())`."""
        return self._loop.run(self._wake_realtime())

    @contextmanager
    def proxy(self) -> Iterator[ChaosProxy]:
        """Another address of the stack, whose network misbehaves on demand."""
        proxy = ChaosProxy(self._loop, self._port, free_port())
        proxy.start()
        try:
            yield proxy
        finally:
            proxy.stop()

    def stop_gateway(self) -> None:
        """Every connection is closed and new ones are refused; the parts behind go on."""
        self._loop.run(self._gateway.stop())

    def start_gateway(self) -> None:
        self._loop.run(self._gateway.start())

    def rotate_jwt_secret(self, *, keep_old: bool = False) -> None:
        """The keys of the older kind change, and tokens must be made anew, unless `keep_old`. Realtime starts anew."""
        former = self.keys.token("service_role")
        self.keys.rotate_secret(keep_old=keep_old)
        self._rest.use_keys(self.keys.jwks())
        fresh = self.keys.token("service_role")
        self._wait_until(lambda: self._rest_status("/", fresh) == httpx.codes.OK, "does not take the new secret")
        if not keep_old:
            self._wait_until(lambda: self._rest_status("/", former) != httpx.codes.OK, "still takes the old secret")
        self._loop.run(self._stop_realtime())

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

    @property
    def _children(self) -> list[Child]:
        return [*filter(None, [self._postgres.child]), self._rest.child]

    def _start(self) -> None:
        if not self._postgres.data.exists():
            if self._template is None:
                self._postgres.create()
            else:
                self._postgres.copy(self._template)
        self._postgres.start()
        self._rest.configure(self._postgres.url(_AUTHENTICATOR), self.keys.jwks())
        self._rest.start()
        try:
            self._loop.run(self._gateway.start())
        except OSError as error:
            raise DevStackError(f"The gateway cannot listen on 127.0.0.1:{self._port}: {error.strerror}.") from error

    def _stop(self) -> None:
        self._loop.run(self._stop_realtime())
        self._loop.run(self._gateway.stop())
        self._rest.stop()
        self._postgres.close(gently=self._durable)

    async def _socket(self, request: web.Request) -> web.StreamResponse:
        return await (await self._wake_realtime()).handle(request)

    async def _wake_realtime(self) -> RealtimeServer:
        """With the first client: those who do not need it are spared its polling."""
        async with self._waking:
            if self._realtime is None:
                keys = self.keys
                realtime = RealtimeServer(
                    self.database_url, keys.jwt_secret, lambda key: keys.role_token(key) or key, jwks=keys.public_jwks()
                )
                await realtime.start()
                self._realtime = realtime
            return self._realtime

    async def _stop_realtime(self) -> None:
        realtime, self._realtime = self._realtime, None
        if realtime is not None:
            await realtime.stop()

    def _rest_status(self, path: str, token: str) -> int:
        headers = {"Authorization": f"Bearer {token}"}
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
