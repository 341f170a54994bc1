-- What a hosted project has before anything of ours: roles, who the caller is, and an empty publication.
-- Nothing is granted on tables to come: new hosted projects do not grant either, so migrations must.
create role anon nologin noinherit;
create role authenticated nologin noinherit;
create role service_role nologin noinherit bypassrls;
create role authenticator login noinherit;
-- As hosted: the owner of what people make is no superuser.
create role postgres login createdb createrole replication bypassrls;
grant anon, authenticated, service_role to authenticator;
grant anon, authenticated, service_role, authenticator to postgres with admin option;
alter role anon set statement_timeout = '3s';
alter role authenticated set statement_timeout = '8s';
alter role authenticator set statement_timeout = '8s';
alter role authenticator set lock_timeout = '8s';
alter database postgres owner to postgres;
grant usage on schema public to anon, authenticated, service_role;
grant all on schema public to postgres;

create schema auth;
grant usage on schema auth to postgres, anon, authenticated, service_role;

create function auth.jwt() returns jsonb language sql stable as $$
  select nullif(current_setting('request.jwt.claims', true), '')::jsonb
$$;

create function auth.uid() returns uuid language sql stable as $$
  select (nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'sub')::uuid
$$;

create function auth.role() returns text language sql stable as $$
  select nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'role'
$$;

create publication supabase_realtime;
alter publication supabase_realtime owner to postgres;

-- The clock of tests; nobody reads it until a test replaces the product's own clock.
create schema devstack;
create table devstack.clock (only_row boolean primary key default true check (only_row), frozen timestamptz, ahead interval not null);
insert into devstack.clock (frozen, ahead) values (null, '0');
grant usage on schema devstack to public;
grant select on devstack.clock to public;

-- Between tests. A few rows are deleted, which is much quicker than to truncate a dozen tables with all their indexes.
create function devstack.empty() returns void language plpgsql set session_replication_role = replica as $$
declare
  v_table regclass;
  v_rows int;
  v_sequence regclass;
begin
  for v_table in
    select c.oid from pg_class c join pg_namespace n on n.oid = c.relnamespace
     where n.nspname in ('public', 'ccm') and c.relkind = 'r' and c.relname <> 'migrations'
  loop
    execute format('select count(*) from (select from %s limit 200) found', v_table) into v_rows;
    if v_rows >= 200 then
      execute format('truncate %s cascade', v_table);
    elsif v_rows > 0 then
      execute format('delete from %s', v_table);
    end if;
  end loop;
  for v_sequence in
    select c.oid from pg_class c join pg_namespace n on n.oid = c.relnamespace
     where n.nspname in ('public', 'ccm') and c.relkind = 'S'
  loop
    perform setval(v_sequence, 1, false);
  end loop;
  update devstack.clock set frozen = null, ahead = '0' where frozen is not null or ahead <> '0';
end $$;
revoke execute on function devstack.empty from public;
