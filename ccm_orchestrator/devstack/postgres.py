"""A PostgreSQL server of one's own, reachable through a socket in a private directory and not over the network."""

from __future__ import annotations

import shutil
import signal
import tempfile
from importlib.resources import files
from pathlib import Path
from urllib.parse import quote

import psycopg

from ccm_orchestrator.devstack.children import Child, hand_over, run_as, server_account
from ccm_orchestrator.devstack.programs import Programs

SUPERUSER = "supabase_admin"
"""As hosted, where `postgres` is none."""
OWNER = "postgres"
_START_LIMIT_S = 30.0
_CONNECT_TIMEOUT_S = 5

_LIKE_HOSTED = ("-E", "UTF8", "--locale=C", "--locale-provider=icu", "--icu-locale=en-US")
"""Text does not sort by its bytes there, so nothing of ours may rely on that."""

_CONFIGURATION = """
listen_addresses = ''
wal_level = logical
max_wal_senders = 8
max_replication_slots = 8
shared_buffers = 64MB
max_connections = 100
timezone = 'UTC'
# not off: logical decoding would see a commit only once the WAL writer came by
synchronous_commit = on
"""
_FORGETFUL = """
fsync = off
full_page_writes = off
"""


class Postgres:
    """`start`, `stop`, and `start` again keep the address."""

    def __init__(self, programs: Programs, directory: Path, *, durable: bool = False) -> None:
        """`directory`: for the data and the log; whom PostgreSQL runs as must get there. `durable`: may lose power."""
        self.data = directory / "data"
        self._programs = programs
        self._durable = durable
        self._account = server_account()
        self.sockets: Path | None = None
        self._child: Child | None = None
        self._log = directory / "postgres.log"

    @property
    def child(self) -> Child | None:
        """None while it is stopped."""
        return self._child

    def create(self) -> None:
        """A new cluster with what a hosted project has. It is not running afterwards."""
        self.data.mkdir(mode=0o700, parents=True)
        hand_over(self.data, self._account)
        how = ["-U", SUPERUSER, "-A", "trust", "--wal-segsize=1", "--no-sync", *_LIKE_HOSTED]
        run_as(self._account, [str(self._programs.initdb), "-D", str(self.data), *how])
        with (self.data / "postgresql.conf").open("a") as configuration:
            configuration.write(_CONFIGURATION + ("" if self._durable else _FORGETFUL))
        self.start()
        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute((files("ccm_orchestrator.devstack") / "base.sql").read_bytes())
        self.stop(gently=True)

    def copy(self, template: Path) -> None:
        """The cluster of `template`, which must not be running."""
        run_as(None, [shutil.which("cp") or "cp", "-a", template, self.data])

    def start(self) -> None:
        """Returns when it takes connections. Raises: DevStackError."""
        if self.sockets is None:  # not below `directory`: the path of a socket must be short
            self.sockets = Path(tempfile.mkdtemp(prefix="ccm-pg-", dir="/tmp"))
            hand_over(self.sockets, self._account)
        argv = [str(self._programs.postgres), "-D", str(self.data), "-k", str(self.sockets)]
        self._child = Child("PostgreSQL", argv, self._log, self._account)
        self._child.start(orphaned=signal.SIGQUIT)
        self._child.wait_until(self._takes_connections, _START_LIMIT_S)

    def stop(self, *, gently: bool = False) -> None:
        """At once, as if it crashed; `gently`: after a checkpoint, so that the data directory may be copied."""
        if self._child is not None:
            self._child.stop(signal.SIGINT if gently else signal.SIGQUIT)
            self._child = None

    def close(self, *, gently: bool = False) -> None:
        self.stop(gently=gently)
        if self.sockets is not None:
            shutil.rmtree(self.sockets, ignore_errors=True)
            self.sockets = None

    def url(self, user: str = SUPERUSER) -> str:
        return f"postgresql://{user}@/postgres?host={quote(str(self.sockets), safe='')}"

    def _takes_connections(self) -> bool:
        try:
            psycopg.connect(self.url(), connect_timeout=_CONNECT_TIMEOUT_S).close()
        except psycopg.OperationalError:
            return False
        return True
