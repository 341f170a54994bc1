-- What the holder of a claim does to a task. Each change locks the task's row first, several in the order of their ids.

-- A task goes back to `queued`, or to `held`; `cancelled` when that was asked for.
-- `p_kind`: voluntary, attempt_failed or infrastructure, as domain/leasing.py says it.
create or replace function ccm.give_back(
    t public.tasks, p_kind text, p_run_after timestamptz, p_reason text, p_detail text, p_until timestamptz
) returns void
language plpgsql set search_path = '' as $$
declare
    v_reason text := p_reason;
    v_detail text := p_detail;
    v_until timestamptz := p_until;
    v_cancelled boolean := t.cancel_requested_at is not null;
begin
    if t.fence - t.fence_floor >= 20 and (v_reason is null or v_until is not null) then
        v_reason := 'attempts_exhausted';
        v_detail := format('It was claimed %s times and never ended: look at its runs, '
            'then `ccm-orchestrator task retry %s` or cancel it.', t.fence - t.fence_floor, t.task_id);
        v_until := null;
    end if;
    delete from public.task_leases where task_id = t.task_id;
    if v_cancelled then
        update public.tasks set
            status = 'cancelled', fence = t.fence, updated_at = ccm.now(),
            hold_reason = null, hold_detail = null, hold_until = null
        where task_id = t.task_id;
        return;
    end if;
    update public.tasks set
        status = case when v_reason is null then 'queued' else 'held' end,
        fence = t.fence,
        attempt = case p_kind when 'attempt_failed' then t.attempt else greatest(t.attempt - 1, 0) end,
        infra_attempt = case p_kind
            when 'attempt_failed' then 0 when 'infrastructure' then t.infra_attempt + 1 else t.infra_attempt end,
        run_after = p_run_after, updated_at = ccm.now(),
        hold_reason = v_reason, hold_detail = v_detail, hold_until = v_until
    where task_id = t.task_id;
end $$;

-- Its run is known: repeating the claim no longer returns it.
create or replace function ccm.settle_claim(p_task_id text) returns void
language sql set search_path = '' as $$
    update public.task_leases set claim_request = null where task_id = p_task_id and claim_request is not null
$$;

create or replace function ccm.has_status(p_task_id text, p_status text) returns void
language sql set search_path = '' as $$
    update public.tasks set
        status = p_status, updated_at = ccm.now(), hold_reason = null, hold_detail = null, hold_until = null
    where task_id = p_task_id and status <> p_status
$$;

-- Extends what the owner still holds: `ok`, `cancel`, `fenced`. `p_boot_id` may be null: any start of its daemon.
create or replace function ccm.extend_leases(
    p_keys jsonb, p_system_id text, p_boot_id text, p_new_boot_id text, p_until timestamptz, p_settle boolean
) returns jsonb
language plpgsql set search_path = '' as $$
declare
    v_wanted text[] := array(select key ->> 'task_id' from jsonb_array_elements(p_keys) as key);
    v_held text[];
    v_orphans text[];
    v_answers jsonb;
begin
    perform from public.tasks where task_id = any (v_wanted) order by task_id for no key update;
    select
        array_agg(t.task_id) filter (where held.by_us),
        array_agg(t.task_id) filter (where held.by_us and t.status = 'orphaned'),
        jsonb_object_agg(key.task_id, case
            when not coalesce(held.by_us, false) then 'fenced'
            when t.cancel_requested_at is not null then 'cancel'
            else 'ok' end)
    into v_held, v_orphans, v_answers
    from jsonb_to_recordset(p_keys) as key (task_id text, fence bigint)
    left join public.tasks t on t.task_id = key.task_id
    left join public.task_leases l on l.task_id = t.task_id
    cross join lateral (select
        t.fence = key.fence and ccm.is_leased(t.status) and l.system_id = p_system_id
        and (p_boot_id is null or l.boot_id = p_boot_id)
    ) as held (by_us);
    update public.task_leases l set
        boot_id = p_new_boot_id, expires_at = p_until,
        claim_request = case when p_settle or l.task_id = any (v_orphans) then null else l.claim_request end
    where l.task_id = any (v_held);
    if v_orphans is not null then
        perform ccm.has_status(orphan.task_id, 'running') from unnest(v_orphans) as orphan (task_id);
    end if;
    return coalesce(v_answers, '{}');
end $$;

create or replace function public.renew_leases(p_system_id text, p_boot_id text, p_keys jsonb, p_lease_s float8)
returns jsonb
language plpgsql security definer set search_path = '' set jit = off as $$
declare
    v_system public.systems;
    v_answers jsonb;
begin
    perform ccm.require_system(p_system_id);
    v_system := ccm.beat(p_system_id, p_boot_id);
    v_answers := ccm.extend_leases(
        coalesce(p_keys, '[]'), p_system_id, p_boot_id, p_boot_id, ccm.lease_end(p_lease_s), false);
    if v_system.draining then
        select coalesce(jsonb_object_agg(key, case value when 'ok' then 'drain' else value end), '{}') into v_answers
        from jsonb_each_text(v_answers);
    end if;
    return jsonb_build_object('answers', v_answers, 'db_now', ccm.now());
end $$;

create or replace function public.adopt_task(
    p_task_id text, p_fence bigint, p_system_id text, p_boot_id text, p_lease_s float8
) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
    v_answers jsonb;
begin
    perform ccm.require_system(p_system_id);
    perform ccm.beat(p_system_id, p_boot_id);
    v_answers := ccm.extend_leases(
        jsonb_build_array(jsonb_build_object('task_id', p_task_id, 'fence', p_fence)),
        p_system_id, null, p_boot_id, ccm.lease_end(p_lease_s), true);
    return jsonb_build_object('answer', v_answers ->> p_task_id);
end $$;

create or replace function public.begin_task(p_task_id text, p_fence bigint, p_run_id text) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
    v_task public.tasks := ccm.lock_fenced(p_task_id, p_fence);
begin
    perform ccm.settle_claim(v_task.task_id);
    if v_task.status not in ('running', 'waiting') or v_task.run_id is distinct from p_run_id then
        update public.tasks set
            status = case status when 'waiting' then status else 'running' end, run_id = p_run_id, updated_at = ccm.now()
        where task_id = v_task.task_id;
    end if;
    return ccm.task_json(v_task.task_id);
end $$;

create or replace function public.mark_task(p_task_id text, p_fence bigint, p_status text) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
    v_task public.tasks := ccm.lock_fenced(p_task_id, p_fence);
begin
    if p_status is null or p_status not in ('running', 'waiting') then
        perform ccm.refuse('WrongStatus', 409, format(
            'Expected to mark a task `running` or `waiting`, got: %s.', coalesce(p_status, 'nothing')),
            jsonb_build_object('status', p_status));
    elsif v_task.status = 'claimed' and p_status = 'waiting' then
        perform ccm.refuse('WrongStatus', 409, format(
            'Task %s is only claimed: begin it before it waits.', v_task.task_id),
            jsonb_build_object('status', v_task.status));
    end if;
    perform ccm.settle_claim(v_task.task_id);
    perform ccm.has_status(v_task.task_id, p_status);
    return ccm.task_json(v_task.task_id);
end $$;

-- Refused, and kept once as evidence.
create or replace function ccm.keep_late(p_task_id text, p_fence bigint, p_result jsonb) returns void
language sql set search_path = '' as $$
    insert into ccm.late_results (task_id, fence, at, result)
    select p_task_id, p_fence, ccm.now(), p_result
    where not exists (
        select from ccm.late_results where task_id = p_task_id and fence = p_fence and result = p_result
    )
$$;

-- A result other than succeeded after a cancel request counts as cancelled.
create or replace function ccm.record_outcome(t public.tasks, p_result jsonb) returns void
language plpgsql set search_path = '' as $$
declare
    v_result jsonb := p_result;
begin
    if t.cancel_requested_at is not null and p_result ->> 'outcome' <> 'succeeded' then
        v_result := p_result || '{"outcome": "cancelled"}';
    end if;
    delete from public.task_leases where task_id = t.task_id;
    update public.tasks set
        status = v_result ->> 'outcome', result = v_result, updated_at = ccm.now(),
        hold_reason = null, hold_detail = null, hold_until = null
    where task_id = t.task_id;
    insert into ccm.outcomes (task_id, fence, at, result) values (t.task_id, t.fence, ccm.now(), v_result);
end $$;

create or replace function public.finish_task(p_task_id text, p_fence bigint, p_result jsonb) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
    v_task public.tasks;
    v_answer text := 'recorded';
begin
    perform ccm.require_machine();
    if coalesce(p_result ->> 'outcome', '') not in ('succeeded', 'failed', 'cancelled') then
        perform ccm.refuse('InvalidTask', 422, format(
            'Expected `outcome` to be succeeded, failed or cancelled, got: %s.', ccm.quoted(p_result ->> 'outcome')), null);
    end if;
    select * into v_task from public.tasks where task_id = p_task_id for no key update;
    if exists (select from ccm.outcomes where task_id = p_task_id and fence = p_fence) then
        v_answer := 'already';
    elsif v_task.task_id is null or v_task.fence is distinct from p_fence or not ccm.is_leased(v_task.status) then
        v_answer := 'fenced';
        if v_task.task_id is null or ccm.caller_sees(v_task) then
            perform ccm.keep_late(p_task_id, p_fence, p_result);
        end if;
    else
        perform ccm.require_owner(v_task);
        perform ccm.record_outcome(v_task, p_result);
    end if;
    return jsonb_build_object(
        'answer', v_answer,
        'task', case when v_task.task_id is not null and ccm.caller_sees(v_task) then ccm.task_json(p_task_id) end);
end $$;

create or replace function public.release_task(p_task_id text, p_fence bigint, p_release jsonb) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
    v_task public.tasks := ccm.lock_fenced(p_task_id, p_fence);
    v_hold jsonb := nullif(p_release -> 'hold', 'null');
begin
    if coalesce(p_release ->> 'kind', '') not in ('voluntary', 'attempt_failed', 'infrastructure') then
        perform ccm.refuse('InvalidTask', 422, format(
            'Expected `kind` to be voluntary, attempt_failed or infrastructure, got: %s.',
            ccm.quoted(p_release ->> 'kind')), null);
    end if;
    perform ccm.give_back(
        v_task, p_release ->> 'kind', (p_release ->> 'run_after')::timestamptz,
        v_hold ->> 'reason', v_hold ->> 'detail', (v_hold ->> 'until')::timestamptz);
    return ccm.task_json(v_task.task_id);
end $$;

create or replace function public.late_results(p_task_id text) returns jsonb
language plpgsql stable security definer set search_path = '' as $$
declare
    v_task public.tasks;
begin
    perform ccm.require_caller();
    select * into v_task from public.tasks where task_id = p_task_id;
    if v_task.task_id is not null and not ccm.caller_sees(v_task)
        or v_task.task_id is null and not ccm.is_service() and ccm.current_system_id() is null
    then
        perform ccm.refuse_unknown_task(p_task_id);
    end if;
    return (
        select coalesce(jsonb_agg(jsonb_build_object('fence', fence, 'result', result) order by seq), '[]')
        from ccm.late_results where task_id = p_task_id
    );
end $$;

revoke all on all functions in schema ccm from public;
revoke all on function public.renew_leases, public.adopt_task, public.begin_task, public.mark_task, public.finish_task,
    public.release_task, public.late_results from public, anon, authenticated;
grant execute on function public.renew_leases, public.adopt_task, public.begin_task, public.mark_task,
    public.finish_task, public.release_task, public.late_results to authenticated, service_role;

insert into ccm.migrations (name) values ('20261125000007_leasing') on conflict do nothing;
