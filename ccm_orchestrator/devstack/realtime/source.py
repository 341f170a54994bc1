"""Where changes come from: a temporary logical slot with wal2json, polled.

It holds only what happens while it is there, and Postgres drops it with the connection and at any error in it.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import LiteralString

import psycopg

from ccm_orchestrator.devstack.realtime.wal import EVENTS, Change, read_change

BATCH = 100
_NO_TABLE = "pg_catalog.none"
"""wal2json takes an empty list for all tables; and what is not wanted must be read too, or it would come later."""

_PUBLISHED: LiteralString = """
    select pubinsert, pubupdate, pubdelete, array(
        select array[schemaname, tablename] from pg_publication_tables t where t.pubname = p.pubname order by 1
    ) from pg_publication p where pubname = %s
"""
_CHANGES: LiteralString = """
    select data from pg_logical_slot_get_changes(%s, null, %s,
        'format-version', '2', 'include-pk', 'true', 'include-type-oids', 'true', 'include-timestamp', 'true',
        'include-transaction', 'false', 'actions', %s, 'add-tables', %s)
"""


@dataclass(frozen=True, slots=True)
class Publication:
    actions: tuple[str, ...] = ()
    tables: tuple[tuple[str, str], ...] = ()
    """Schema and name."""

    @property
    def tables_for_wal2json(self) -> str:
        names = [f"{_escaped(schema)}.{_escaped(table)}" for schema, table in self.tables if self.actions]
        return ",".join(names) or _NO_TABLE


class ChangeSource:
    def __init__(self, database_url: str, publication: str) -> None:
        self._database_url = database_url
        self._publication = publication
        self._slot = ""
        self._connection: psycopg.AsyncConnection | None = None

    async def open(self) -> None:
        """Raises: psycopg.Error."""
        self._connection = await psycopg.AsyncConnection.connect(self._database_url, autocommit=True)
        self._slot = f"ccm_realtime_{secrets.token_hex(6)}"
        await self._connection.execute(
            "select pg_create_logical_replication_slot(%s, 'wal2json', temporary => true)", [self._slot]
        )

    async def close(self) -> None:
        """Everything that was not polled is lost."""
        if self._connection is not None:
            await self._connection.close()
        self._connection = None

    async def published(self) -> Publication:
        """Raises: psycopg.Error."""
        cursor = await self._open_connection().execute(_PUBLISHED, [self._publication])
        row = await cursor.fetchone()
        if row is None:
            return Publication()
        *flags, tables = row
        actions = (event.lower() for event, flag in zip(EVENTS.values(), flags, strict=True) if flag)
        return Publication(tuple(actions), tuple((schema, table) for schema, table in tables))

    async def poll(self, publication: Publication) -> list[Change]:
        """What was committed since the last call: whole transactions, until `BATCH` changes. Raises: psycopg.Error."""
        parameters = [self._slot, BATCH, ",".join(publication.actions) or "insert", publication.tables_for_wal2json]
        cursor = await self._open_connection().execute(_CHANGES, parameters)
        changes = [read_change(row[0]) async for row in cursor]
        return [change for change in changes if change is not None]

    def _open_connection(self) -> psycopg.AsyncConnection:
        if self._connection is None:
            raise psycopg.OperationalError("the source of changes is closed")
        return self._connection


def _escaped(name: str) -> str:
    """wal2json takes a backslash before what separates its list."""
    return "".join(f"\\{letter}" if letter in " ,.'\"\\*" else letter for letter in name)
