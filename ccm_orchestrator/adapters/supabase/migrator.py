"""Applies migrations over a direct connection to the database, which only people make, and nobody else needs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import psycopg
from psycopg import errors
from psycopg.conninfo import conninfo_to_dict

from ccm_orchestrator.adapters.supabase.migrations import RELOAD, pending, shipped_migrations
from ccm_orchestrator.errors import InvalidSettings, StoreError, StoreRefused, StoreUnavailable
from ccm_orchestrator.security.secrets import Secret

CONNECT_S = 15
LOCK_KEY = 4_711_826_530
"""Of the lock that lets one migrator at a time work. It belongs to a transaction, which a pooler leaves whole."""
SETTINGS = "set local lock_timeout = '30s'; set local statement_timeout = '300s'"


@dataclass(frozen=True, slots=True)
class SchemaReport:
    """Where a database stands."""

    applied: tuple[str, ...]
    pending: tuple[str, ...]


def read_schema(database_url: Secret) -> SchemaReport:
    """Raises: SchemaTooNew, StoreUnavailable, StoreRefused, StoreError, InvalidSettings."""
    with _connected(database_url) as connection:
        applied = _applied(connection)
    return SchemaReport(tuple(applied), tuple(pending(applied)))


def migrate(database_url: Secret, known: Mapping[str, str] | None = None) -> Sequence[str]:
    """Names of the migrations applied now. Each is applied as a whole or not at all.

    Raises: SchemaTooNew, StoreUnavailable, StoreRefused, StoreError, InvalidSettings.
    """
    scripts = shipped_migrations() if known is None else known
    with _connected(database_url) as connection:
        done = [name for name in pending(_applied(connection), scripts) if _apply(connection, name, scripts)]
        connection.execute(RELOAD.encode())
    return done


def _apply(connection: psycopg.Connection, name: str, scripts: Mapping[str, str]) -> bool:
    """False when somebody else has applied it meanwhile."""
    with connection.transaction():
        connection.execute(SETTINGS)
        connection.execute("select pg_advisory_xact_lock(%s)", (LOCK_KEY,))
        if name not in pending(_applied(connection), scripts):
            return False
        with _named(name):
            connection.execute(scripts[name].encode())
        connection.execute("insert into ccm.migrations (name) values (%s) on conflict do nothing", (name,))
    return True


def _applied(connection: psycopg.Connection) -> Sequence[str]:
    # not to_regclass: within a transaction it does not notice a table that somebody else has made meanwhile
    if connection.execute("select from pg_tables where schemaname = 'ccm' and tablename = 'migrations'").rowcount == 0:
        return []
    rows = connection.execute('select name from ccm.migrations order by name collate "C"')
    return [str(name) for (name,) in rows]


@contextmanager
def _connected(database_url: Secret) -> Iterator[psycopg.Connection]:
    """A connection that commits each statement; a pooler in between may not know prepared statements."""
    parameters = _parameters(database_url)
    where = f"the database at {parameters.get('host') or 'the local socket'}"
    secrets = [database_url.reveal(), str(parameters.get("password") or "")]
    try:
        connection = psycopg.connect(
            database_url.reveal(),
            autocommit=True,
            connect_timeout=CONNECT_S,
            prepare_threshold=None,
            application_name="ccm-orchestrator db",
        )
    except psycopg.Error as error:
        raise StoreUnavailable(f"Cannot connect to {where}: {_told(error, secrets)}.") from None
    with connection:
        try:
            yield connection
        except errors.InsufficientPrivilege as error:
            raise StoreRefused(
                f"The user of the database URL may not change {where} ({_told(error, secrets)}): "
                "use that of the role `postgres`."
            ) from None
        except psycopg.Error as error:
            raise StoreError(f"Migrating {where} failed: {_told(error, secrets)}.") from None


@contextmanager
def _named(name: str) -> Iterator[None]:
    try:
        yield
    except psycopg.Error as error:
        error.args = (f"{name}: {error}",)
        raise


def _parameters(database_url: Secret) -> Mapping[str, object]:
    """Raises: InvalidSettings, which shows nothing of the URL: what cannot be read may be a part of the password."""
    try:
        parameters = conninfo_to_dict(database_url.reveal())
    except psycopg.Error:
        parameters = {}
    host = str(parameters.get("host", ""))
    if not parameters or "@" in host:
        raise InvalidSettings(
            "The database URL cannot be read: expected `postgresql://postgres:PASSWORD@HOST:5432/postgres`, with "
            "special characters of the password percent-encoded."
        )
    return parameters


def _told(error: psycopg.Error, secrets: Sequence[str]) -> str:
    """The first line of what the driver or the server said, without the URL and the password."""
    line = (
        (str(error).strip().splitlines() or [type(error).__name__])[0].removeprefix("connection failed: ").rstrip(".")
    )
    for secret in filter(None, secrets):
        line = line.replace(secret, "…")
    return line
