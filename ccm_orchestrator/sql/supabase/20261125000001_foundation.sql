-- What everything else stands on: a schema that PostgREST does not expose, the only clock, and who is calling.
-- Every file here may be run again, and each ends by writing down its own name.

create schema if not exists ccm;
revoke all on schema ccm from public;

create table if not exists ccm.migrations (
    name       text        not null primary key,
    applied_at timestamptz not null default now()
);

-- The time of the transaction, and the only clock that leases are compared by. Bodies after `return` are read once, when
-- the function is made, so that no search_path changes them, and become part of the query that uses them.
create or replace function ccm.now() returns timestamptz
language sql stable return pg_catalog.now();

-- What the caller's token says; NULL over a direct connection to the database.
create or replace function ccm.claims() returns jsonb
language sql stable return nullif(current_setting('request.jwt.claims', true), '')::jsonb;

-- The machine whose token this is; NULL for people and secret keys.
create or replace function ccm.current_system_id() returns text
language sql stable return nullif(nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'system_id', '');

-- The person whose token this is. The `sub` of a machine's token need not be a uuid.
create or replace function ccm.user_id() returns uuid
language sql stable set search_path = '' as $$
    select case
        when said.sub ~* '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' then said.sub::uuid
    end
    from (select nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'sub') as said (sub)
$$;

-- A secret key, or somebody with a direct connection who may call the functions at all.
create or replace function ccm.is_service() returns boolean
language sql stable return coalesce(ccm.claims() ->> 'role' = 'service_role', session_user <> 'authenticator');

revoke all on function ccm.now, ccm.claims, ccm.current_system_id, ccm.user_id, ccm.is_service from public;
grant execute on function ccm.now, ccm.current_system_id, ccm.user_id to authenticated, service_role;

insert into ccm.migrations (name) values ('20261125000001_foundation') on conflict do nothing;
