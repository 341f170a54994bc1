"""How a change looks to a role: Postgres itself turns what wal2json wrote into JSON, as it would for a query."""

from __future__ import annotations

import json
from typing import LiteralString

import psycopg
from psycopg import sql

from ccm_orchestrator.devstack.realtime.wal import Change

RECORD_LIMIT_BYTES = 1024 * 1024
"""Of a change's JSON. A larger one loses every value longer than `KEPT_BYTES`, and every NULL."""
KEPT_BYTES = 64

_DESCRIBE: LiteralString = """
with change as (
    select wal, {relation}::regclass as entity, octet_length(wal::text) > {limit} as too_large
    from (select %(wal)s::jsonb as wal) given
), item as (
    select image, item.*
    from change, (values ('new', 'columns'), ('old', 'identity')) images(image, told),
         jsonb_to_recordset(wal -> told) as item(name text, typeoid oid, value jsonb)
), image as (
    select image,
           jsonb_object_agg(name, case when typeoid in ('json'::regtype, 'jsonb'::regtype)
                                       then (value #>> '{{}}')::jsonb else value end) as written,
           coalesce(jsonb_object_agg(name, value) filter (where typeoid = 'bytea'::regtype), '{{}}') as bytes
    from item group by image
), cell as (
    select image, name, nullif(normal -> name, 'null') as value
    from image, to_jsonb(jsonb_populate_record(null::{table}, written)) populated,
         lateral (select populated || bytes as normal) normalised, jsonb_object_keys(written) name
), attribute as (
    select attname as name, typname as type, attnum, attname = any(%(key)s) as in_key
    from change join pg_attribute on attrelid = entity join pg_type on pg_type.oid = atttypid
    where attnum > 0 and not attisdropped and has_column_privilege(%(role)s, attrelid, attname, 'select')
), seen as (
    select 'record' as part, coalesce(n.name, o.name) as name, n.value as told,
           case when n.name is null then o.value else n.value end as value
    from (select * from cell where image = 'new') n full join (select * from cell where image = 'old') o using (name)
    union all
    select 'old_record', name, value, value from cell where image = 'old'
), part as (
    select part, jsonb_object_agg(name, value) as fields
    from change, seen join attribute using (name)
    where (not too_large or octet_length(told::text) <= {kept})
      and (part = 'record' or in_key or not %(key_only)s)
    group by part
)
select (jsonb_build_object(
        'schema', wal -> 'schema', 'table', wal -> 'table', 'type', %(event)s::text,
        'commit_timestamp',
            to_char((wal ->> 'timestamp')::timestamptz at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'),
        'errors', case when too_large then '["Error 413: Payload Too Large"]'::jsonb end,
        'columns', (select jsonb_agg(jsonb_build_object('name', name, 'type', type) order by attnum) from attribute))
    || case when %(event)s = 'DELETE' then '{{}}' else
        jsonb_build_object('record', (select fields from part where part = 'record')) end
    || case when %(event)s = 'INSERT' then '{{}}' else
        jsonb_build_object('old_record', (select fields from part where part = 'old_record')) end
    )::text
from change
"""


async def describe(connection: psycopg.AsyncConnection, change: Change, role: str, *, key_only: bool) -> str:
    """The `data` of the event as JSON text. `key_only`: of the old row, only the primary key. Raises: psycopg.Error."""
    query = sql.SQL(_DESCRIBE).format(
        relation=sql.Literal(relation(change)),
        table=sql.Identifier(change.schema, change.table),
        limit=sql.Literal(RECORD_LIMIT_BYTES),
        kept=sql.Literal(KEPT_BYTES),
    )
    facts = {"wal": change.text, "event": change.event, "role": role}
    cursor = await connection.execute(query, facts | {"key": list(change.primary_key), "key_only": key_only})
    row = await cursor.fetchone()
    assert row is not None
    return str(row[0])


def describe_error(change: Change, error: str) -> str:
    """Without timestamp and record; the Python client cannot read it."""
    facts = {"schema": change.schema, "table": change.table, "type": change.event, "errors": [error]}
    return json.dumps(facts)


def relation(change: Change) -> str:
    """As `regclass` reads it."""
    return ".".join('"' + name.replace('"', '""') + '"' for name in (change.schema, change.table))
