-- Who may read and insert what. Changes go through functions, so nobody but a secret key may update or delete.
-- Realtime looks at the policy of `tasks` for each change and each listener: it joins nothing.

create or replace function ccm.is_member() returns boolean
language sql stable security definer set search_path = '' as $$
    select exists (select from public.members where user_id = ccm.user_id())
$$;

create or replace function ccm.is_admin() returns boolean
language sql stable security definer set search_path = '' as $$
    select exists (select from public.members where user_id = ccm.user_id() and role = 'admin')
$$;

revoke all on function ccm.is_member, ccm.is_admin from public;
grant execute on function ccm.is_member, ccm.is_admin to authenticated, service_role;

alter table public.systems enable row level security;
alter table public.projects enable row level security;
alter table public.tasks enable row level security;
alter table public.task_leases enable row level security;
alter table public.task_events enable row level security;
alter table public.system_metrics enable row level security;
alter table public.members enable row level security;
alter table public.api_keys enable row level security;
alter table ccm.migrations enable row level security;
alter table ccm.claim_requests enable row level security;
alter table ccm.outcomes enable row level security;
alter table ccm.late_results enable row level security;

revoke all on
    public.systems, public.projects, public.tasks, public.task_leases, public.task_events, public.system_metrics,
    public.members, public.api_keys, public.silent_systems
from public, anon, authenticated;
grant select, insert, update, delete on
    public.systems, public.projects, public.tasks, public.task_leases, public.task_events, public.system_metrics,
    public.members, public.api_keys
to service_role;
grant select on public.silent_systems to authenticated, service_role;
grant select on
    public.systems, public.projects, public.tasks, public.task_leases, public.task_events, public.system_metrics,
    public.members
to authenticated;
grant select (key_id, owner, system_id, name, prefix, scopes, created_at, expires_at, revoked_at, last_used_at)
    on public.api_keys to authenticated;
grant insert (task_id, project, prompt, profile, priority, run_after, after, dedup_key, max_attempts, time_limit_s,
              budget_usd, model, tags, labels, system_id)
    on public.tasks to authenticated;

drop policy if exists "the system's, open ones, one's own, all for admins" on public.tasks;
create policy "the system's, open ones, one's own, all for admins" on public.tasks
    for select to authenticated using (
        system_id = (select ccm.current_system_id())
        or (open and (select ccm.current_system_id()) is not null)
        or created_by_system = (select ccm.current_system_id())
        or created_by = (select ccm.user_id())
        or (select ccm.is_admin())
    );
drop policy if exists "members add tasks in their own name" on public.tasks;
create policy "members add tasks in their own name" on public.tasks
    for insert to authenticated with check (
        created_by = (select ccm.user_id()) and (select ccm.is_member())
    );

drop policy if exists "systems and members see all systems" on public.systems;
create policy "systems and members see all systems" on public.systems
    for select to authenticated using (
        (select ccm.current_system_id()) is not null or (select ccm.is_member())
    );
drop policy if exists "its own system's, and all for members" on public.projects;
create policy "its own system's, and all for members" on public.projects
    for select to authenticated using (
        system_id = (select ccm.current_system_id()) or (select ccm.is_member())
    );
drop policy if exists "its own system's, and all for members" on public.system_metrics;
create policy "its own system's, and all for members" on public.system_metrics
    for select to authenticated using (
        system_id = (select ccm.current_system_id()) or (select ccm.is_member())
    );
drop policy if exists "its own system's, and of the tasks one sees" on public.task_leases;
create policy "its own system's, and of the tasks one sees" on public.task_leases
    for select to authenticated using (
        system_id = (select ccm.current_system_id())
        or (select ccm.is_admin())
        or exists (select from public.tasks where tasks.task_id = task_leases.task_id)
    );
drop policy if exists "its own system's, and of the tasks one sees" on public.task_events;
create policy "its own system's, and of the tasks one sees" on public.task_events
    for select to authenticated using (
        system_id = (select ccm.current_system_id())
        or (select ccm.is_admin())
        or exists (select from public.tasks where tasks.task_id = task_events.task_id)
    );
drop policy if exists "oneself, and all for admins" on public.members;
create policy "oneself, and all for admins" on public.members
    for select to authenticated using (
        user_id = (select ccm.user_id()) or (select ccm.is_admin())
    );
drop policy if exists "one's own" on public.api_keys;
create policy "one's own" on public.api_keys
    for select to authenticated using (owner = (select ccm.user_id()));

do $$
begin
    if not exists (select from pg_catalog.pg_publication where pubname = 'supabase_realtime') then
        create publication supabase_realtime;
    end if;
    if not exists (
        select from pg_catalog.pg_publication_tables
        where pubname = 'supabase_realtime' and schemaname = 'public' and tablename = 'tasks'
    ) then
        alter publication supabase_realtime add table public.tasks;
    end if;
end $$;

insert into ccm.migrations (name) values ('20261125000003_access') on conflict do nothing;
