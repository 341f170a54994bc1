"""API keys in SQLite."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from datetime import datetime

from ccm_orchestrator.adapters.sqlite.database import Database
from ccm_orchestrator.adapters.sqlite.documents import json_text, optional_time_text, storable, time_text
from ccm_orchestrator.adapters.sqlite.rows import UNREADABLE_TIME, RowReader
from ccm_orchestrator.domain import refusals
from ccm_orchestrator.domain.caller import Scope
from ccm_orchestrator.domain.keys import ApiKey

_ADD = """
INSERT INTO api_keys (key_id, name, prefix, hash, scopes, owner, created_at, created_by, expires_at)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
_FIND = "SELECT * FROM api_keys WHERE key_id = :ref OR prefix = :ref OR name = :ref"


class SqliteKeyStore:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, key: ApiKey, digest: str) -> None:
        await self._database.write(lambda c: _add(c, key, digest))

    async def keys(self) -> Sequence[ApiKey]:
        statement = "SELECT * FROM api_keys ORDER BY rowid DESC"
        return await self._database.read(lambda c: [_read(row) for row in c.execute(statement)])

    async def by_digest(self, digest: str) -> ApiKey | None:
        statement = "SELECT * FROM api_keys WHERE hash = ?"
        row = await self._database.read(lambda c: c.execute(statement, (digest,)).fetchone())
        return None if row is None else _read(row)

    async def find(self, ref: str, now: datetime) -> ApiKey:
        rows = await self._database.read(lambda c: c.execute(_FIND, {"ref": storable(ref)}).fetchall())
        keys = [_read(row) for row in rows]
        exact = [key for key in keys if ref == key.key_id] or [key for key in keys if ref == key.prefix]
        found = exact or [key for key in keys if key.works(now)]
        if len(found) != 1:
            raise refusals.ambiguous_key(ref) if found else refusals.key_not_found(ref)
        return found[0]

    async def used(self, key_id: str, at: datetime) -> None:
        statement = "UPDATE api_keys SET last_used_at = ? WHERE key_id = ?"
        await self._database.write(lambda c: c.execute(statement, (time_text(at), key_id)))

    async def revoke(self, key_id: str, at: datetime) -> ApiKey:
        statement = "UPDATE api_keys SET revoked_at = coalesce(revoked_at, ?) WHERE key_id = ?"

        def work(connection: sqlite3.Connection) -> ApiKey:
            connection.execute(statement, (time_text(at), key_id))
            return _get(connection, key_id)

        return await self._database.write(work)

    async def replace(self, key_id: str, new: ApiKey, digest: str, until: datetime) -> ApiKey:
        statement = "UPDATE api_keys SET expires_at = min(coalesce(expires_at, :until), :until) WHERE key_id = :key_id"

        def work(connection: sqlite3.Connection) -> ApiKey:
            old = _get(connection, key_id)
            if old.revoked_at is not None:
                raise refusals.key_revoked(old.prefix)
            connection.execute(statement, {"until": time_text(until), "key_id": key_id})
            _add(connection, new, digest)
            return _get(connection, key_id)

        return await self._database.write(work)


def _add(connection: sqlite3.Connection, key: ApiKey, digest: str) -> None:
    connection.execute(
        _ADD,
        (
            key.key_id,
            key.name,
            key.prefix,
            digest,
            json_text(sorted(key.scopes)),
            key.owner,
            time_text(key.created_at),
            key.created_by,
            optional_time_text(key.expires_at),
        ),
    )


def _get(connection: sqlite3.Connection, key_id: str) -> ApiKey:
    row = connection.execute("SELECT * FROM api_keys WHERE key_id = ?", (key_id,)).fetchone()
    if row is None:
        raise refusals.key_not_found(key_id)
    return _read(row)


def _read(row: sqlite3.Row) -> ApiKey:
    """What cannot be read opens nothing: a scope that is none is left out."""
    reader = RowReader(row)
    return ApiKey(
        key_id=reader.text("key_id"),
        name=reader.text("name"),
        prefix=reader.text("prefix"),
        scopes=frozenset(Scope(scope) for scope in reader.texts("scopes") if scope in tuple(Scope)),
        owner=reader.optional_text("owner"),
        created_at=_time(reader, "created_at"),
        created_by=reader.text("created_by"),
        expires_at=_limit(reader, "expires_at"),
        last_used_at=reader.time("last_used_at"),
        revoked_at=_limit(reader, "revoked_at"),
    )


def _limit(reader: RowReader, column: str) -> datetime | None:
    """A limit that cannot be read has passed."""
    return None if reader.row[column] is None else _time(reader, column)


def _time(reader: RowReader, column: str) -> datetime:
    return reader.time(column) or UNREADABLE_TIME
