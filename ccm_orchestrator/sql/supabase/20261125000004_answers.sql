-- What all functions have in common: how they refuse, whom they let in, and how a task looks in their answers.

-- Raises. `p_error` is the name of the class in errors.py, `p_status` what PostgREST answers with; never SQLSTATE 40001,
-- which PostgREST would try again for ever.
create or replace function ccm.refuse(p_error text, p_status integer, p_sentence text, p_facts jsonb) returns void
language plpgsql set search_path = '' as $$
begin
    raise exception using
        errcode = 'PT' || p_status,
        message = p_sentence,
        detail = (jsonb_build_object('error', p_error) || coalesce(p_facts, '{}'))::text;
end $$;

-- A text of somebody else inside a sentence, as Python's repr shows it.
create or replace function ccm.quoted(p_text text) returns text
language sql immutable set search_path = '' as $$
    select case
        when position('''' in shown) > 0 and position('"' in shown) = 0 then '"' || shown || '"'
        else '''' || replace(shown, '''', '\''') || ''''
    end
    from (select regexp_replace(
        replace(replace(replace(replace(coalesce(p_text, ''), '\', '\\'), E'\n', '\n'), E'\r', '\r'), E'\t', '\t'),
        '[\u0001-\u001f\u007f-\u009f]', '?', 'g')) as _ (shown)
$$;

-- --- whom the functions let in ---

-- Only a machine for itself, or a secret key for any.
create or replace function ccm.require_system(p_system_id text) returns void
language plpgsql stable set search_path = '' as $$
begin
    if coalesce(p_system_id, '') = '' then
        perform ccm.refuse('InvalidTask', 422, 'Expected the id of a system, got nothing.', null);
    elsif not ccm.is_service() and p_system_id is distinct from ccm.current_system_id() then
        raise exception using errcode = '42501', message = format(
            'This token may not speak for system %s: %s.', ccm.quoted(p_system_id),
            coalesce('it is that of system ' || ccm.quoted(ccm.current_system_id()), 'it names no `system_id`'));
    end if;
end $$;

-- A machine, a member, or a secret key.
create or replace function ccm.require_caller() returns void
language plpgsql stable set search_path = '' as $$
begin
    if not ccm.is_service() and ccm.current_system_id() is null and not ccm.is_member() then
        raise exception using errcode = '42501', message =
            'This token belongs to no system and no member: add the user to `members`, or use a system''s own token.';
    end if;
end $$;

create or replace function ccm.sees_all() returns boolean
language sql stable set search_path = '' as $$ select ccm.is_service() or ccm.is_admin() $$;

-- As the policy on `tasks` says it. Without SET, so that the planner can look inside.
create or replace function ccm.sees(t public.tasks, p_all boolean, p_system_id text, p_user_id uuid) returns boolean
language sql immutable as $$
    select p_all
        or t.system_id = p_system_id
        or (t.open and p_system_id is not null)
        or t.created_by_system = p_system_id
        or t.created_by = p_user_id
$$;

create or replace function ccm.caller_sees(t public.tasks) returns boolean
language sql stable set search_path = '' as $$
    select coalesce(ccm.sees(t, ccm.sees_all(), ccm.current_system_id(), ccm.user_id()), false)
$$;

-- A machine leaves alone what is open to any and has been taken by another one.
create or replace function ccm.require_change(t public.tasks) returns void
language plpgsql stable set search_path = '' as $$
declare
    v_system text := ccm.current_system_id();
    v_owner text;
begin
    if ccm.sees_all() or coalesce(t.created_by = ccm.user_id() or v_system in (t.system_id, t.created_by_system), false)
    then
        return;
    end if;
    select system_id into v_owner from public.task_leases where task_id = t.task_id;
    if v_owner is distinct from v_system and v_owner is not null then
        raise exception using errcode = '42501', message = format(
            'Task %s is leased by system %s, and this token is not its own.', t.task_id, ccm.quoted(v_owner));
    end if;
end $$;

-- Of begin, mark, finish, release: the fence says which claim, this says whose.
create or replace function ccm.require_owner(t public.tasks) returns void
language plpgsql stable set search_path = '' as $$
declare
    v_owner text;
begin
    if ccm.is_service() then
        return;
    end if;
    select system_id into v_owner from public.task_leases where task_id = t.task_id;
    if v_owner is distinct from ccm.current_system_id() then
        raise exception using errcode = '42501', message = format(
            'Task %s is leased by another system than the one whose token this is.', t.task_id);
    end if;
end $$;

-- A system's token or a secret key: what people never do.
create or replace function ccm.require_machine() returns void
language plpgsql stable set search_path = '' as $$
begin
    if not ccm.is_service() and ccm.current_system_id() is null then
        raise exception using errcode = '42501', message = 'Only systems may do this, and this token names none.';
    end if;
end $$;

-- --- how a task looks ---

create or replace function ccm.is_leased(p_status text) returns boolean
language sql immutable as $$ select p_status in ('claimed', 'running', 'waiting', 'orphaned') $$;

create or replace function ccm.is_over(p_status text) returns boolean
language sql immutable as $$ select p_status in ('succeeded', 'failed', 'cancelled') $$;

-- Without SET, so that it is written into the query.
create or replace function ccm.task_json(t public.tasks, l public.task_leases) returns jsonb
language sql stable as $$
    select jsonb_build_object(
        'task_id', t.task_id, 'project', t.project, 'prompt', t.prompt, 'profile', t.profile, 'status', t.status,
        'priority', t.priority, 'created_at', t.created_at, 'updated_at', t.updated_at, 'run_after', t.run_after,
        'after', t.after, 'dedup_key', t.dedup_key, 'max_attempts', t.max_attempts, 'attempt', t.attempt,
        'infra_attempt', t.infra_attempt, 'time_limit_s', t.time_limit_s, 'budget_usd', t.budget_usd, 'model', t.model,
        'tags', t.tags, 'labels', t.labels, 'system_id', t.system_id, 'source', t.source, 'fence', t.fence,
        'fence_floor', t.fence_floor, 'run_id', t.run_id, 'hold_reason', t.hold_reason, 'hold_detail', t.hold_detail,
        'hold_until', t.hold_until, 'cancel_requested_at', t.cancel_requested_at, 'result', t.result,
        'lease_system_id', l.system_id, 'lease_boot_id', l.boot_id, 'lease_expires_at', l.expires_at
    )
$$;

create or replace function ccm.tasks_json(p_task_ids text[]) returns jsonb
language plpgsql stable set search_path = ''
-- planned once per connection, for any number of tasks in a table of any size
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set plan_cache_mode = force_generic_plan
as $$
begin
    return (
        select coalesce(jsonb_agg(ccm.task_json(t, l) order by wanted.place), '[]')
        from unnest(p_task_ids) with ordinality as wanted (task_id, place)
        join public.tasks t on t.task_id = wanted.task_id
        left join public.task_leases l on l.task_id = t.task_id and ccm.is_leased(t.status)
    );
end $$;

create or replace function ccm.task_json(p_task_id text) returns jsonb
language plpgsql stable set search_path = '' as $$
begin
    return ccm.tasks_json(array[p_task_id]) -> 0;
end $$;

-- --- finding one ---

create or replace function ccm.refuse_unknown_task(p_task_id text) returns void
language sql set search_path = '' as $$
    select ccm.refuse('TaskNotFound', 404, format(
        'There is no task %s; `ccm-orchestrator task list` shows those there are.', ccm.quoted(p_task_id)),
        jsonb_build_object('task_id', p_task_id))
$$;

-- Also by a unique prefix; what the caller may not see does not exist. Raises: TaskNotFound.
create or replace function ccm.find_task(p_task_id text) returns public.tasks
language plpgsql stable set search_path = '' as $$
declare
    v_found public.tasks[];
begin
    if p_task_id ~ '^[A-Za-z0-9_-]{4,64}$' then
        select array_agg(t) into v_found from public.tasks t where t.task_id = p_task_id and ccm.caller_sees(t);
        if v_found is null then
            -- `~` comes after every character that an id may have
            select array_agg(x.t) into v_found from (
                select t from public.tasks t
                where t.task_id >= p_task_id collate "C" and t.task_id < (p_task_id || '~') collate "C"
                    and ccm.caller_sees(t)
                limit 2
            ) as x (t);
        end if;
    end if;
    if v_found is null then
        perform ccm.refuse_unknown_task(p_task_id);
    elsif cardinality(v_found) > 1 then
        perform ccm.refuse('TaskNotFound', 404, format(
            'More than one task begins with %s: give more of the id.', ccm.quoted(p_task_id)),
            jsonb_build_object('task_id', p_task_id));
    end if;
    return v_found[1];
end $$;

-- The same, for a change: nobody else writes to it until the transaction ends.
create or replace function ccm.lock_task(p_task_id text) returns public.tasks
language plpgsql set search_path = '' as $$
declare
    v_task public.tasks := ccm.find_task(p_task_id);
begin
    perform ccm.require_change(v_task);
    select * into v_task from public.tasks where task_id = v_task.task_id for no key update;
    if not found then
        perform ccm.refuse_unknown_task(p_task_id);
    end if;
    return v_task;
end $$;

-- For a write of a run. Raises: Fenced.
create or replace function ccm.lock_fenced(p_task_id text, p_fence bigint) returns public.tasks
language plpgsql set search_path = '' as $$
declare
    v_task public.tasks;
begin
    perform ccm.require_machine();
    select * into v_task from public.tasks where task_id = p_task_id for no key update;
    if not found then
        perform ccm.refuse('Fenced', 409, format('Task %s does not exist any more.', p_task_id),
            jsonb_build_object('task_id', p_task_id, 'fence', p_fence));
    elsif v_task.fence is distinct from p_fence or not ccm.is_leased(v_task.status) then
        perform ccm.refuse('Fenced', 409, format(
            'Task %s is %s at fence %s, so the run with fence %s can no longer change it.',
            p_task_id, v_task.status, v_task.fence, p_fence),
            jsonb_build_object('task_id', p_task_id, 'fence', p_fence, 'current_fence', v_task.fence));
    end if;
    perform ccm.require_owner(v_task);
    return v_task;
end $$;

revoke all on all functions in schema ccm from public;

insert into ccm.migrations (name) values ('20261125000004_answers') on conflict do nothing;
