-- Systems and their projects, what they report, and how old rows go.

create or replace function ccm.system_json(p_system_id text) returns jsonb
language sql stable set search_path = '' as $$
    select jsonb_build_object(
        'system_id', s.system_id, 'system_name', coalesce(s.system_name, s.system_id), 'version', coalesce(s.version, ''),
        'max_agents', coalesce(s.max_agents, 0), 'labels', s.labels, 'draining', s.draining, 'last_seen', s.last_seen,
        'connected_since', s.connected_since,
        'silent_s', greatest(extract(epoch from ccm.now() - s.last_seen)::float8, 0),
        'leased', (select count(*) from public.task_leases l where l.system_id = s.system_id)
    )
    from public.systems s where s.system_id = p_system_id
$$;

create or replace function public.register_system(p_system jsonb) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
    v_new public.systems := jsonb_populate_record(null::public.systems, p_system);
begin
    perform ccm.require_system(v_new.system_id);
    perform ccm.beat(v_new.system_id, v_new.boot_id);
    update public.systems set
        system_name = v_new.system_name, version = v_new.version, max_agents = v_new.max_agents,
        labels = coalesce(v_new.labels, '{}')
    where system_id = v_new.system_id
        and (system_name, version, max_agents, labels) is distinct from
            (v_new.system_name, v_new.version, v_new.max_agents, coalesce(v_new.labels, '{}'));
    return ccm.system_json(v_new.system_id);
end $$;

create or replace function public.list_systems() returns jsonb
language plpgsql stable security definer set search_path = '' as $$
begin
    perform ccm.require_caller();
    return (
        select coalesce(jsonb_agg(ccm.system_json(system_id) order by system_id collate "C"), '[]')
        from public.systems
    );
end $$;

-- By the system itself, an admin, or a secret key. It is no sign of life of that system.
create or replace function public.drain_system(p_system_id text, p_draining boolean default true) returns jsonb
language plpgsql security definer set search_path = '' as $$
begin
    if not ccm.is_admin() then
        perform ccm.require_system(p_system_id);
    end if;
    update public.systems set draining = coalesce(p_draining, true) where system_id = p_system_id;
    if not found then
        perform ccm.refuse('NotFound', 404, format(
            'There is no system %s; `ccm-orchestrator system list` shows those there are.', ccm.quoted(p_system_id)),
            jsonb_build_object('system_id', p_system_id));
    end if;
    return ccm.system_json(p_system_id);
end $$;

-- --- projects ---

create or replace function ccm.project_json(p public.projects) returns jsonb
language sql stable set search_path = '' as $$
    select jsonb_build_object(
        'system_id', p.system_id, 'name', p.name, 'path', p.path, 'profile', p.profile, 'created_at', p.created_at)
$$;

create or replace function public.add_project(p_system_id text, p_project jsonb) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
    v_project public.projects := jsonb_populate_record(null::public.projects, p_project);
begin
    perform ccm.require_system(p_system_id);
    if coalesce(v_project.name, '') = '' or v_project.name <> btrim(v_project.name) or length(v_project.name) > 100 then
        perform ccm.refuse('InvalidProject', 422, format(
            'Expected the project''s name to be 1 to 100 characters without spaces around, got: %s.',
            ccm.quoted(v_project.name)), null);
    end if;
    if not exists (select from public.systems where system_id = p_system_id) then
        perform ccm.beat(p_system_id, null);
    end if;
    insert into public.projects as p (system_id, name, path, profile, created_at)
    values (p_system_id, v_project.name, v_project.path, v_project.profile, ccm.now())
    on conflict (system_id, name) do update set
        path = excluded.path, profile = excluded.profile, created_at = excluded.created_at
    returning p.* into v_project;
    return ccm.project_json(v_project);
end $$;

-- Refused while there are unfinished tasks that no other system could carry out.
create or replace function public.remove_project(p_system_id text, p_name text) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
    v_elsewhere boolean;
    v_unfinished bigint;
begin
    perform ccm.require_system(p_system_id);
    perform pg_advisory_xact_lock(hashtextextended(p_name, 1)); -- or the last two systems would each rely on the other
    if not exists (select from public.projects where system_id = p_system_id and name = p_name) then
        perform ccm.refuse('NotFound', 404, format(
            'There is no project named %s; `ccm-orchestrator project list` shows those there are.', ccm.quoted(p_name)),
            jsonb_build_object('project', p_name));
    end if;
    v_elsewhere := exists (select from public.projects where system_id <> p_system_id and name = p_name);
    select count(*) into v_unfinished from public.tasks t left join public.task_leases l on l.task_id = t.task_id
    where t.project = p_name and t.status not in ('succeeded', 'failed', 'cancelled')
        and (t.system_id = p_system_id or l.system_id = p_system_id or (t.system_id is null and not v_elsewhere));
    if v_unfinished > 0 then
        perform ccm.refuse('WrongStatus', 409, format(
            'Project %s still has unfinished tasks (%s): wait for them, or cancel them first.',
            ccm.quoted(p_name), v_unfinished),
            jsonb_build_object('project', p_name, 'open_tasks', v_unfinished));
    end if;
    delete from public.projects where system_id = p_system_id and name = p_name;
    return null;
end $$;

-- By name. `p_system_id` null: of all systems, for those who see them.
create or replace function public.list_projects(p_system_id text default null) returns jsonb
language plpgsql stable security definer set search_path = '' as $$
begin
    if not ccm.is_member() then
        perform ccm.require_system(coalesce(p_system_id, case when ccm.is_service() then '*' end));
    end if;
    return (
        select coalesce(jsonb_agg(ccm.project_json(p) order by p.name collate "C", p.system_id collate "C"), '[]')
        from public.projects p where p_system_id is null or p.system_id = p_system_id
    );
end $$;

-- --- what systems report ---

-- What is there already is not stored again. An event outlives neither its task nor the lack of one.
create or replace function public.append_task_events(p_system_id text, p_events jsonb) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
    v_stored bigint;
begin
    perform ccm.require_system(p_system_id);
    insert into public.task_events (system_id, event_key, task_id, run_id, kind, at, data)
    select
        p_system_id, e.event ->> 'event_key', t.task_id, e.event ->> 'run_id', e.event ->> 'kind',
        coalesce((e.event ->> 'at')::timestamptz, ccm.now()), coalesce(e.event -> 'data', '{}')
    from jsonb_array_elements(coalesce(p_events, '[]')) with ordinality as e (event, place)
    left join public.tasks t on t.task_id = e.event ->> 'task_id'
    order by e.place
    on conflict (system_id, event_key) do nothing;
    get diagnostics v_stored = row_count;
    return jsonb_build_object('stored', v_stored);
end $$;

create or replace function public.record_metrics(p_system_id text, p_metrics jsonb) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
    v_stored bigint;
begin
    perform ccm.require_system(p_system_id);
    insert into public.system_metrics (system_id, metric_key, at, data)
    select p_system_id, m.metric_key, coalesce(m.at, ccm.now()), coalesce(m.data, '{}')
    from jsonb_to_recordset(coalesce(p_metrics, '[]')) as m (metric_key text, at timestamptz, data jsonb)
    order by m.metric_key
    on conflict (system_id, metric_key) do nothing;
    get diagnostics v_stored = row_count;
    return jsonb_build_object('stored', v_stored);
end $$;

-- Anybody who is signed in may ask, so that a daemon with the wrong rights can say what is wrong.
create or replace function public.schema_state() returns jsonb
language sql stable security definer set search_path = '' as $$
    select jsonb_build_object(
        'migrations', (select coalesce(jsonb_agg(name order by name collate "C"), '[]') from ccm.migrations),
        'db_now', ccm.now())
$$;

-- --- how old rows go ---

-- Ended tasks with their events, and what belongs to no task, as of before `p_before`: one batch, small enough that
-- Realtime, which reads every deletion, is not held up. Tasks that unfinished ones wait for stay.
create or replace function ccm.prune(p_before timestamptz, p_batch integer default 1000) returns jsonb
language plpgsql set search_path = '' as $$
declare
    v_batch integer := least(greatest(coalesce(p_batch, 1000), 1), 1000);
    v_tasks bigint;
    v_events bigint;
    v_metrics bigint;
    v_late bigint;
begin
    delete from public.tasks where task_id in (
        select t.task_id from public.tasks t
        where t.status in ('succeeded', 'failed', 'cancelled') and t.updated_at < p_before
            and not exists (
                select from public.tasks waiting
                where waiting.status not in ('succeeded', 'failed', 'cancelled') and waiting.after @> array[t.task_id::text])
        order by t.updated_at limit v_batch for update skip locked
    );
    get diagnostics v_tasks = row_count;
    delete from public.task_events where event_id in (
        select event_id from public.task_events where task_id is null and at < p_before
        limit v_batch for update skip locked);
    get diagnostics v_events = row_count;
    delete from public.system_metrics where metric_id in (
        select metric_id from public.system_metrics where at < p_before limit v_batch for update skip locked);
    get diagnostics v_metrics = row_count;
    delete from ccm.late_results where seq in (
        select seq from ccm.late_results l where at < p_before
            and not exists (select from public.tasks t where t.task_id = l.task_id)
        limit v_batch for update skip locked);
    get diagnostics v_late = row_count;
    return jsonb_build_object(
        'tasks', v_tasks, 'events', v_events, 'metrics', v_metrics, 'late_results', v_late,
        'more', greatest(v_tasks, v_events, v_metrics, v_late) >= v_batch);
end $$;

create or replace function public.prune_history(p_before timestamptz, p_batch integer default 1000) returns jsonb
language sql security definer set search_path = '' as $$ select ccm.prune(p_before, p_batch) $$;

revoke all on all functions in schema ccm from public;
revoke all on function public.register_system, public.list_systems, public.drain_system, public.add_project,
    public.remove_project, public.list_projects, public.append_task_events, public.record_metrics, public.schema_state,
    public.prune_history from public, anon, authenticated;
grant execute on function public.register_system, public.list_systems, public.drain_system, public.add_project,
    public.remove_project, public.list_projects, public.append_task_events, public.record_metrics, public.schema_state
    to authenticated, service_role;
grant execute on function public.prune_history to service_role;

insert into ccm.migrations (name) values ('20261125000009_systems') on conflict do nothing;
