"""What is done to the database from outside, as its superuser: migrating, emptying, turning the clock."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

import psycopg
from psycopg import sql

from ccm_orchestrator.adapters.supabase import migrator
from ccm_orchestrator.security.secrets import Secret

_LOCK_TIMEOUT = "10s"
_CLOCK = """
create or replace function ccm.now() returns timestamptz language sql stable as
$$ select coalesce(frozen, pg_catalog.now() + ahead) from devstack.clock $$
"""


class Database:
    """One connection is kept, so that emptying and turning the clock cost little. Callable from any thread."""

    def __init__(self, url: Callable[[], str], owner_url: Callable[[], str]) -> None:
        self._url = url
        self._owner_url = owner_url
        self._kept: psycopg.Connection | None = None
        self._clock_is_ours = False
        self._lock = threading.Lock()

    def close(self) -> None:
        with self._lock:
            if self._kept is not None:
                self._kept.close()
                self._kept = None

    @contextmanager
    def superuser(self) -> Iterator[psycopg.Connection]:
        """The kept connection; each statement is committed at once."""
        with self._lock:
            if self._kept is None or self._kept.closed:
                options = f"-c lock_timeout={_LOCK_TIMEOUT}"
                self._kept = psycopg.connect(self._url(), autocommit=True, options=options)
            yield self._kept

    def migrate(self) -> None:
        """As the role `postgres`, which is no superuser here, as hosted. Raises: StoreError."""
        self._clock_is_ours = False
        migrator.migrate(Secret(self._owner_url()))

    def empty(self) -> None:
        """Every table of the product is empty afterwards, and the clock is the real one."""
        with self.superuser() as connection:
            connection.execute("select devstack.empty()")

    def freeze_clock(self, at: datetime | None) -> None:
        self._turn_clock(sql.SQL("update devstack.clock set frozen = %s, ahead = '0'"), at)

    def advance_clock(self, by: timedelta) -> None:
        self._turn_clock(sql.SQL("update devstack.clock set frozen = frozen + %s, ahead = ahead + %s"), by, by)

    def _turn_clock(self, statement: sql.SQL, *values: object) -> None:
        with self.superuser() as connection:
            if not self._clock_is_ours:
                connection.execute(_CLOCK)
                self._clock_is_ours = True
            connection.execute(statement, values)
