"""What only the database can decide: whether a subscription makes sense, and who may see a row.

One connection, and one question at a time, as in Realtime itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import LiteralString

import psycopg
from psycopg import sql

from ccm_orchestrator.devstack.realtime.bindings import OPERATORS, Binding, Condition
from ccm_orchestrator.devstack.realtime.describing import describe, describe_error, relation
from ccm_orchestrator.devstack.realtime.source import Publication
from ccm_orchestrator.devstack.realtime.tokens import Claims
from ccm_orchestrator.devstack.realtime.wal import Change

NO_PRIMARY_KEY = "Error 400: Bad Request, no primary key"
UNAUTHORIZED = "Error 401: Unauthorized"

_TYPES: LiteralString = """
    select attname, atttypid::regtype::text from pg_attribute join pg_class c on c.oid = attrelid
    where relnamespace = %(schema)s::regnamespace and relname = %(table)s and attnum > 0 and not attisdropped
      and has_column_privilege(%(role)s, attrelid, attname, 'select')
"""
_RIGHTS: LiteralString = """
    select relrowsecurity, (select bool_and(has_column_privilege(%(role)s, oid, name, 'select'))
                            from unnest(%(key)s::text[]) name)
    from pg_class where oid = %(relation)s::regclass
"""
_BECOME = "select set_config('role', %s, true), set_config('request.jwt.claims', %s, true)"


class SubscriptionRefused(Exception):
    """The server will not send what was asked for."""


@dataclass(frozen=True, slots=True)
class TypedCondition:
    condition: Condition
    type: str
    """Of the column, as SQL writes it."""


Conditions = tuple[TypedCondition, ...]


@dataclass(frozen=True, slots=True)
class Subscription:
    """A binding that the database has accepted."""

    binding: Binding
    tables: Mapping[tuple[str, str], Conditions]

    def conditions_for(self, change: Change) -> Conditions | None:
        """None: it does not want changes of this kind, whatever the row."""
        if not self.binding.wants(change.event, change.schema, change.table):
            return None
        return self.tables.get((change.schema, change.table))


class Judge:
    def __init__(self, database_url: str) -> None:
        self._database_url = database_url
        self._connection: psycopg.AsyncConnection | None = None

    async def open(self) -> None:
        """Raises: psycopg.Error."""
        self._connection = await psycopg.AsyncConnection.connect(self._database_url, autocommit=True)

    async def close(self) -> None:
        if self._connection is not None:
            await self._connection.close()
        self._connection = None

    async def subscribe(self, binding: Binding, role: str, publication: Publication) -> Subscription:
        """Raises: SubscriptionRefused, MalformedBinding, psycopg.Error (the database is away)."""
        conditions = binding.conditions
        tables = [table for table in publication.tables if binding.wants(binding.event, *table)]
        if not tables:
            raise SubscriptionRefused(_refusal(binding))
        try:
            return Subscription(binding, {table: await self._typed(conditions, role, *table) for table in tables})
        except (KeyError, psycopg.DataError, psycopg.ProgrammingError) as error:
            raise SubscriptionRefused(_refusal(binding)) from error

    async def matching(self, change: Change, wishes: Iterable[Conditions]) -> set[Conditions]:
        """Those whose conditions the row meets. Raises: psycopg.Error."""
        asked = list(set(wishes))
        tests = [_all_hold(conditions, change) for conditions in asked]
        cursor = await self._database().execute(sql.SQL("select {}").format(sql.SQL(", ").join(tests)))
        answers = await cursor.fetchone()
        assert answers is not None
        return {conditions for conditions, holds in zip(asked, answers, strict=True) if holds}

    async def seen_by(self, change: Change, everybody: Iterable[Claims]) -> dict[Claims, str]:
        """What each of those who may see the row is told. Raises: psycopg.Error."""
        answers: dict[Claims, str] = {}
        by_role: dict[str, set[Claims]] = {}
        for claims in everybody:
            by_role.setdefault(claims.role, set()).add(claims)
        for role, bearers in by_role.items():
            secured, readable = await self._rights(change, role)
            if change.event != "DELETE" and not readable:
                error = UNAUTHORIZED if change.primary_key else NO_PRIMARY_KEY
                answers |= dict.fromkeys(bearers, describe_error(change, error))
                continue
            told = await describe(self._database(), change, role, key_only=secured and change.event == "DELETE")
            open_to_all = change.event == "DELETE" or not secured
            answers |= {claims: told for claims in bearers if open_to_all or await self._sees(claims, change)}
        return answers

    async def _typed(self, conditions: Iterable[Condition], role: str, schema: str, table: str) -> Conditions:
        """Tries every value for its column's type. Raises: KeyError (no such column for this role), psycopg.Error."""
        cursor = await self._database().execute(_TYPES, {"schema": schema, "table": table, "role": role})
        types: dict[str, str] = dict(await cursor.fetchall())
        typed = tuple(TypedCondition(condition, types[condition.column]) for condition in conditions)
        for each in typed:
            await self._database().execute(sql.SQL("select {}").format(_holds(each, None)))
        return typed

    async def _rights(self, change: Change, role: str) -> tuple[bool, bool]:
        """Whether row level security is on, and whether the role may read the primary key."""
        facts = {"role": role, "key": list(change.primary_key), "relation": relation(change)}
        row = await (await self._database().execute(_RIGHTS, facts)).fetchone()
        return (bool(row[0]), bool(row[1])) if row else (False, False)

    async def _sees(self, claims: Claims, change: Change) -> bool:
        """Whether the row is there now for this role with these claims, which is all that Realtime asks."""
        key = sql.SQL(" and ").join(
            sql.SQL("{} = {}").format(sql.Identifier(name), sql.Literal(change.new[name]))
            for name in change.primary_key
        )
        query = sql.SQL("select exists (select from {} where {})")
        connection = self._database()
        try:
            async with connection.transaction(force_rollback=True):
                await connection.execute(_BECOME, [claims.role, claims.text])
                cursor = await connection.execute(query.format(sql.Identifier(change.schema, change.table), key))
                row = await cursor.fetchone()
        except (psycopg.DataError, psycopg.ProgrammingError):  # a policy cannot digest these claims
            return False
        return row is not None and bool(row[0])

    def _database(self) -> psycopg.AsyncConnection:
        if self._connection is None:
            raise psycopg.OperationalError("the database is away")
        return self._connection


def _refusal(binding: Binding) -> str:
    return (
        "Unable to subscribe to changes with given parameters. "
        f"Please check Realtime is enabled for the given connect parameters: {binding}"
    )


def _all_hold(conditions: Conditions, change: Change) -> sql.Composable:
    row = change.seen_by_filters
    tests = [_holds(typed, row.get(typed.condition.column)) for typed in conditions]
    return sql.SQL(" and ").join([sql.SQL("true"), *tests])


def _holds(typed: TypedCondition, value: str | None) -> sql.Composable:
    """NULL and what the change does not tell never match."""
    condition = typed.condition
    return sql.SQL("coalesce({left}::{type} {operator} ({right}::{type}{array}), false)").format(
        left=sql.Literal(value),
        type=sql.SQL(typed.type),  # written by Postgres itself, and quoted where it must be
        operator=sql.SQL(OPERATORS[condition.operator]),
        right=sql.Literal(condition.value),
        array=sql.SQL("[]" if condition.is_list else ""),
    )
