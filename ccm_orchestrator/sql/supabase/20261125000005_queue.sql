-- Adding tasks and looking at them.

-- The sentence of domain/task.py; NULL: nothing is wrong with the task's own fields.
create or replace function ccm.problem_with(t public.tasks) returns text
language sql immutable set search_path = '' as $$
    select case
        when t.prompt is null or t.prompt !~ '[^\s\x1c-\x1f\u0085\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]' then
            'The prompt is empty: say what the agent should do.'
        when octet_length(t.prompt) > 4000000 then
            'The prompt is over 4000000 bytes: put the material in a file of the project and name it.'
        when t.project is null or t.project !~ '\S' then
            'The project is empty: name one that `ccm-orchestrator project list` shows.'
        when t.task_id !~ '^[A-Za-z0-9_-]{4,64}$' then
            format('Expected `task_id` to be 4 to 64 letters, digits, `_` or `-`, got: %s.', ccm.quoted(t.task_id))
        when t.task_id = any (t.after) then
            'The task waits for itself: take its own id out of `after`.'
        when t.max_attempts not between 1 and 20 then
            format('Expected `max_attempts` to be from 1 to 20, got: %s.', t.max_attempts)
        when t.priority not between -1000 and 1000 then
            format('Expected `priority` to be from -1000 to 1000, got: %s.', t.priority)
        when not (t.time_limit_s > 0 and t.time_limit_s < 'Infinity') then
            format('Expected `time_limit_s` to be a positive number of seconds, got: %s.', t.time_limit_s)
        when not (t.budget_usd > 0 and t.budget_usd < 'Infinity') then
            format('Expected `budget_usd` to be a positive number, got: %s.', t.budget_usd)
        when not ccm.are_labels(t.labels) then
            format('Expected each of `labels` to be 1 to 63 letters, digits, `.`, `_` or `-` that begin with a letter or '
                'digit, got: %s.',
                (select ccm.quoted(label) from unnest(t.labels) as label where not ccm.are_labels(array[label]) limit 1))
    end
$$;

-- Whether waiting for `p_start` means, at last, waiting for `p_goal`.
create or replace function ccm.reaches(p_start text[], p_goal text) returns boolean
language sql stable set search_path = '' as $$
    with recursive reached (task_id) as (
        select unnest(p_start)
        union
        select unnest(t.after) from reached join public.tasks t on t.task_id = reached.task_id
        where not ccm.is_over(t.status)
    )
    select exists (select from reached where task_id = p_goal)
$$;

-- The task that this one would repeat. Raises when the caller may not see it.
create or replace function ccm.same_task(p_new public.tasks) returns text
language plpgsql stable set search_path = '' as $$
declare
    v_known public.tasks;
begin
    select * into v_known from public.tasks where task_id = p_new.task_id;
    if not found then
        select * into v_known from public.tasks
        where dedup_key = p_new.dedup_key and status not in ('succeeded', 'failed', 'cancelled');
    end if;
    if v_known.task_id is not null and not ccm.caller_sees(v_known) then
        perform ccm.refuse('InvalidTask', 409, 'Another task that this token may not see has the same '
            || case when v_known.task_id = p_new.task_id then 'id' else 'dedup key' end || ': choose another one.', null);
    end if;
    return v_known.task_id;
end $$;

create or replace function ccm.check_new_task(p_new public.tasks, p_queue_limit integer) returns void
language plpgsql stable set search_path = '' as $$
declare
    v_missing text;
    v_queued bigint;
begin
    if not exists (select from public.projects where name = p_new.project) then
        perform ccm.refuse('UnknownProject', 422, format(
            'There is no project named %s; add it with `ccm-orchestrator project add PATH`.', ccm.quoted(p_new.project)),
            jsonb_build_object('project', p_new.project));
    end if;
    select wanted.task_id into v_missing from unnest(p_new.after) with ordinality as wanted (task_id, place)
    where not exists (select from public.tasks t where t.task_id = wanted.task_id) order by wanted.place limit 1;
    if found then
        perform ccm.refuse('UnknownDependency', 422, format(
            'The task waits for task %s, which does not exist.', ccm.quoted(v_missing)),
            jsonb_build_object('task_id', v_missing));
    end if;
    if p_new.after <> '{}' and p_new.task_id is not null and ccm.reaches(p_new.after, p_new.task_id) then
        perform ccm.refuse('DependencyCycle', 422, format(
            'Task %s would wait for itself, by way of %s.', ccm.quoted(p_new.task_id), array_to_string(p_new.after, ', ')),
            jsonb_build_object('task_id', p_new.task_id));
    end if;
    select count(*) into v_queued
    from (select from public.tasks where status = 'queued' limit greatest(p_queue_limit, 0)) as no_more_than_that;
    if v_queued >= p_queue_limit then
        select count(*) into v_queued from public.tasks where status = 'queued';
        perform ccm.refuse('QueueFull', 429, format(
            'The queue is full (%s tasks wait, the limit is %s): wait for tasks to finish, '
            'or raise `queue_limit` in the configuration.', v_queued, p_queue_limit),
            jsonb_build_object('queued', v_queued, 'limit', p_queue_limit));
    end if;
end $$;

-- NULL when another one with its id or its dedup key came first.
create or replace function ccm.insert_task(p_new public.tasks) returns text
language sql set search_path = '' as $$
    insert into public.tasks (
        task_id, project, prompt, profile, priority, run_after, after, dedup_key, max_attempts, time_limit_s, budget_usd,
        model, tags, labels, system_id, source
    )
    values (
        coalesce(p_new.task_id, replace(gen_random_uuid()::text, '-', '')), p_new.project, p_new.prompt, p_new.profile,
        p_new.priority, p_new.run_after, p_new.after, p_new.dedup_key, p_new.max_attempts, p_new.time_limit_s,
        p_new.budget_usd, p_new.model, p_new.tags, p_new.labels, p_new.system_id, p_new.source
    )
    on conflict do nothing
    returning task_id
$$;

-- What the caller wishes, with what it left out. Raises: InvalidTask.
create or replace function ccm.wished_task(p_task jsonb) returns public.tasks
language plpgsql stable set search_path = '' as $$
declare
    v_new public.tasks;
    v_problem text;
begin
    v_new := jsonb_populate_record(null::public.tasks, p_task);
    v_new.priority := coalesce(v_new.priority, 0);
    v_new.after := coalesce(v_new.after, '{}');
    v_new.max_attempts := coalesce(v_new.max_attempts, 2);
    v_new.tags := coalesce(v_new.tags, '{}');
    v_new.labels := coalesce(v_new.labels, '{}');
    v_new.source := coalesce(v_new.source, 'api');
    v_problem := ccm.problem_with(v_new);
    if v_problem is not null then
        perform ccm.refuse('InvalidTask', 422, v_problem, null);
    end if;
    return v_new;
end $$;

create or replace function public.enqueue_task(p_task jsonb, p_queue_limit integer default 100) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
    v_new public.tasks;
    v_task_id text;
    v_created boolean := false;
begin
    perform ccm.require_caller();
    v_new := ccm.wished_task(p_task);
    loop
        v_task_id := ccm.same_task(v_new);
        exit when v_task_id is not null;
        perform ccm.check_new_task(v_new, p_queue_limit);
        v_task_id := ccm.insert_task(v_new);
        v_created := v_task_id is not null;
        exit when v_created;
        -- somebody was quicker: it is committed now, and found above unless it has ended already
    end loop;
    return jsonb_build_object('task', ccm.task_json(v_task_id), 'created', v_created);
end $$;

create or replace function public.get_task(p_task_id text) returns jsonb
language plpgsql stable security definer set search_path = '' as $$
declare
    v_task public.tasks;
begin
    perform ccm.require_caller();
    v_task := ccm.find_task(p_task_id);
    return ccm.task_json(v_task.task_id);
end $$;

create or replace function public.list_tasks(
    p_statuses text[] default null,
    p_project text default null,
    p_tag text default null,
    p_before text default null,
    p_limit integer default 100
) returns jsonb
language plpgsql stable security definer set search_path = '' set jit = off
set plan_cache_mode = force_custom_plan -- which index is right depends on what is asked for
as $$
declare
    v_all boolean := ccm.sees_all();
    v_system text := ccm.current_system_id();
    v_user uuid := ccm.user_id();
    v_before bigint := 9223372036854775807;
    v_found text[];
begin
    perform ccm.require_caller();
    if p_before is not null then
        v_before := (ccm.find_task(p_before)).seq;
    end if;
    select array_agg(x.task_id order by x.seq desc) into v_found from (
        select t.task_id, t.seq from public.tasks t
        where t.seq < v_before
            and (coalesce(p_statuses, '{}') = '{}' or t.status = any (p_statuses))
            and (p_project is null or t.project = p_project)
            and (p_tag is null or t.tags @> array[p_tag])
            and ccm.sees(t, v_all, v_system, v_user)
        order by t.seq desc
        limit least(greatest(coalesce(p_limit, 100), 0), 1000)
    ) as x;
    return ccm.tasks_json(v_found);
end $$;

create or replace function public.task_counts() returns jsonb
language plpgsql stable security definer set search_path = '' set jit = off
set plan_cache_mode = force_custom_plan -- which index is right depends on what is asked for
as $$
declare
    v_all boolean := ccm.sees_all();
    v_system text := ccm.current_system_id();
    v_user uuid := ccm.user_id();
begin
    perform ccm.require_caller();
    return (
        select jsonb_object_agg(every.status, coalesce(counted.n, 0))
        from unnest(array['queued', 'claimed', 'running', 'waiting', 'orphaned', 'held', 'succeeded', 'failed',
                          'cancelled']) as every (status)
        left join (
            select t.status, count(*) as n from public.tasks t
            where ccm.sees(t, v_all, v_system, v_user) group by t.status
        ) as counted on counted.status = every.status
    );
end $$;

revoke all on all functions in schema ccm from public;
revoke all on function public.enqueue_task, public.get_task, public.list_tasks, public.task_counts
    from public, anon, authenticated;
grant execute on function public.enqueue_task, public.get_task, public.list_tasks, public.task_counts
    to authenticated, service_role;

insert into ccm.migrations (name) values ('20261125000005_queue') on conflict do nothing;
