-- What people wish, and what becomes of the lost.

create or replace function public.cancel_task(p_task_id text) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
    v_task public.tasks;
begin
    perform ccm.require_caller();
    v_task := ccm.lock_task(p_task_id);
    if ccm.is_over(v_task.status) then
        perform ccm.refuse('WrongStatus', 409, format('Task %s is already %s.', v_task.task_id, v_task.status),
            jsonb_build_object('status', v_task.status));
    elsif not ccm.is_leased(v_task.status) then
        perform ccm.has_status(v_task.task_id, 'cancelled');
    end if;
    if v_task.cancel_requested_at is null or not ccm.is_leased(v_task.status) then
        update public.tasks set cancel_requested_at = ccm.now(), updated_at = ccm.now()
        where task_id = v_task.task_id;
    end if;
    return ccm.task_json(v_task.task_id);
end $$;

create or replace function public.retry_task(p_task_id text) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
    v_task public.tasks;
    v_rival text;
begin
    perform ccm.require_caller();
    v_task := ccm.lock_task(p_task_id);
    if v_task.status not in ('failed', 'cancelled', 'held') then
        perform ccm.refuse('WrongStatus', 409, format(
            'Task %s is %s: only a failed, cancelled or held task can be retried.', v_task.task_id, v_task.status),
            jsonb_build_object('status', v_task.status));
    end if;
    begin
        update public.tasks set
            status = 'queued', attempt = 0, infra_attempt = 0, run_after = null, cancel_requested_at = null, result = null,
            fence_floor = fence, hold_reason = null, hold_detail = null, hold_until = null, updated_at = ccm.now()
        where task_id = v_task.task_id;
    exception when unique_violation then
        select task_id into v_rival from public.tasks
        where dedup_key = v_task.dedup_key and status not in ('succeeded', 'failed', 'cancelled');
        perform ccm.refuse('WrongStatus', 409, format(
            'Task %s cannot be retried while task %s has the same dedup key %s: cancel that one first.',
            v_task.task_id, v_rival, ccm.quoted(v_task.dedup_key)),
            jsonb_build_object('task_id', v_task.task_id, 'rival_id', v_rival));
    end;
    return ccm.task_json(v_task.task_id);
end $$;

create or replace function public.unhold_task(p_task_id text) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
    v_task public.tasks;
begin
    perform ccm.require_caller();
    v_task := ccm.lock_task(p_task_id);
    if v_task.status <> 'held' then
        perform ccm.refuse('WrongStatus', 409, format('Task %s is %s, not held.', v_task.task_id, v_task.status),
            jsonb_build_object('status', v_task.status));
    end if;
    update public.tasks set
        status = 'queued', fence_floor = fence, hold_reason = null, hold_detail = null, hold_until = null,
        updated_at = ccm.now()
    where task_id = v_task.task_id;
    return ccm.task_json(v_task.task_id);
end $$;

-- --- the lost ---

-- An owner must have been silent for the grace; so must the rescuer have been connected, or all would be taken over by
-- whoever returns first after an outage. An orphan of the rescuer's own, or of a system that nobody knows, counts from
-- the end of its lease.
create or replace function ccm.may_take_over(p_lease public.task_leases, p_rescuer public.systems, p_grace_s float8)
returns boolean
language plpgsql stable set search_path = '' as $$
declare
    v_latest timestamptz := ccm.now() - make_interval(secs => p_grace_s);
    v_owner public.systems;
begin
    if p_rescuer.connected_since > v_latest then
        return false;
    end if;
    select * into v_owner from public.systems where system_id = p_lease.system_id;
    if v_owner.system_id is not null and v_owner.system_id <> p_rescuer.system_id then
        return v_owner.last_seen <= v_latest;
    end if;
    return p_lease.expires_at is null or p_lease.expires_at <= v_latest;
end $$;

create or replace function ccm.rescue_expired(p_rescuer public.systems, p_grace_s float8) returns text[]
language plpgsql set search_path = '' as $$
declare
    v_task public.tasks;
    v_lease public.task_leases;
    v_changed text[] := '{}';
begin
    for v_task in
        select t.* from public.tasks t
        left join public.task_leases l on l.task_id = t.task_id
        where t.status in ('claimed', 'running', 'waiting', 'orphaned')
            and (l.expires_at is null or l.expires_at <= ccm.now())
        order by t.seq for no key update of t skip locked
    loop
        -- read again under the lock: it may have been renewed since
        select * into v_lease from public.task_leases where task_id = v_task.task_id;
        if v_lease.expires_at > ccm.now() then
            continue;
        elsif v_task.status <> 'orphaned' then
            perform ccm.has_status(v_task.task_id, 'orphaned');
        elsif ccm.may_take_over(v_lease, p_rescuer, p_grace_s) then
            v_task.fence := v_task.fence + 1; -- whatever the owner still says is refused
            perform ccm.give_back(v_task, 'infrastructure', v_task.run_after, null, null, null);
        else
            continue;
        end if;
        v_changed := v_changed || v_task.task_id;
    end loop;
    return v_changed;
end $$;

-- Their time has come, or none of the tasks they wait for is failed or cancelled any more.
create or replace function ccm.release_holds() returns text[]
language sql set search_path = '' as $$
    with due as materialized (
        select t.task_id from public.tasks t
        where t.status = 'held' and case
            when t.hold_reason = 'dependency' then not exists (
                select from public.tasks awaited
                where awaited.task_id = any (t.after) and awaited.status in ('failed', 'cancelled'))
            else t.hold_until <= ccm.now() end
        order by t.seq for no key update skip locked
    ), released as (
        update public.tasks t set
            status = 'queued', hold_reason = null, hold_detail = null, hold_until = null, updated_at = ccm.now()
        from due where t.task_id = due.task_id and t.status = 'held'
        returning t.task_id, t.seq
    )
    select coalesce(array_agg(task_id order by seq), '{}') from released
$$;

create or replace function public.rescue_tasks(p_system_id text, p_takeover_grace_s float8) returns jsonb
language plpgsql security definer set search_path = '' set jit = off as $$
declare
    v_rescuer public.systems;
    v_changed text[];
begin
    perform ccm.require_system(p_system_id);
    v_rescuer := ccm.beat(p_system_id, null);
    v_changed := ccm.rescue_expired(v_rescuer, greatest(coalesce(p_takeover_grace_s, 600), 1));
    v_changed := v_changed || ccm.release_holds();
    delete from ccm.claim_requests where request_id in (
        select request_id from ccm.claim_requests where at < ccm.now() - interval '1 day'
        limit 1000 for update skip locked
    );
    return ccm.tasks_json(array(
        select changed.task_id from unnest(v_changed) with ordinality as changed (task_id, place)
        join public.tasks t on t.task_id = changed.task_id
        where ccm.caller_sees(t) order by changed.place
    ));
end $$;

revoke all on all functions in schema ccm from public;
revoke all on function public.cancel_task, public.retry_task, public.unhold_task, public.rescue_tasks
    from public, anon, authenticated;
grant execute on function public.cancel_task, public.retry_task, public.unhold_task, public.rescue_tasks
    to authenticated, service_role;

insert into ccm.migrations (name) values ('20261125000008_wishes') on conflict do nothing;
