-- Which rows a system gets, in which order, and which can never be carried out. What a claim consists of is PL/pgSQL, which
-- keeps its plans: with the indexes of `tasks`, to plan a statement takes longer than to carry it out.

-- The system is there: its row as it is now. `p_boot_id` null: the same start of its daemon as before.
-- Silent for over two minutes means that it was not connected in between; a heartbeat that says no more than the last
-- one is not written again within five seconds.
create or replace function ccm.beat(p_system_id text, p_boot_id text) returns public.systems
language plpgsql set search_path = '' as $$
declare
    v_now timestamptz := ccm.now();
    v_known public.systems;
begin
    select * into v_known from public.systems where system_id = p_system_id;
    if found and coalesce(p_boot_id, v_known.boot_id) = v_known.boot_id
        and v_now - v_known.last_seen < interval '5 seconds'
    then
        return v_known;
    end if;
    insert into public.systems as s (system_id, boot_id, last_seen, connected_since)
    values (p_system_id, coalesce(p_boot_id, ''), v_now, v_now)
    on conflict (system_id) do update set
        boot_id = coalesce(p_boot_id, s.boot_id),
        last_seen = greatest(v_now, s.last_seen),
        connected_since = case
            when coalesce(p_boot_id, s.boot_id) = s.boot_id and v_now - s.last_seen <= interval '120 seconds'
                then s.connected_since
            else v_now
        end
    returning s.* into v_known;
    return v_known;
end $$;

-- Tasks that wait for themselves, and those between two such circles, among the queued ones: whatever waits for nothing
-- here is taken away again and again, from both ends.
create or replace function ccm.circular_tasks() returns text[]
language plpgsql stable set search_path = '' as $$
declare
    v_ids text[];
    v_from integer[];
    v_to integer[];
    v_gone boolean[];
begin
    select array_agg(task_id order by task_id) into v_ids from public.tasks where status = 'queued' and after <> '{}';
    with nodes as (select * from unnest(v_ids) with ordinality as _ (task_id, n))
    select array_agg(waiting.n), array_agg(awaited.n) into v_from, v_to
    from nodes as waiting
    join public.tasks t on t.task_id = waiting.task_id
    cross join lateral (select distinct unnest(t.after)) as wanted (task_id)
    join nodes as awaited on awaited.task_id = wanted.task_id;
    v_gone := ccm.stripped(v_from, v_to, array_fill(false, array[cardinality(v_ids)]));
    v_gone := ccm.stripped(v_to, v_from, v_gone);
    return array(
        select v_ids[n] from generate_subscripts(v_ids, 1) as n where not v_gone[n] order by n
    );
end $$;

-- Marks the nodes from which no circle can be reached, in a time that grows with the number of edges.
create or replace function ccm.stripped(p_from integer[], p_to integer[], p_gone boolean[]) returns boolean[]
language plpgsql immutable set search_path = '' as $$
declare
    v_gone boolean[] := p_gone;
    v_left integer[] := array_fill(0, array[cardinality(p_gone)]);  -- edges that leave a node
    v_first integer[] := array_fill(0, array[cardinality(p_gone)]); -- its first incoming edge, or 0
    v_next integer[] := array_fill(0, array[greatest(coalesce(cardinality(p_from), 0), 1)]); -- the one after that
    v_ends integer[] := '{}';
    v_last integer := 0;
    v_node integer;
    v_edge integer;
begin
    for v_edge in 1 .. coalesce(cardinality(p_from), 0) loop
        continue when v_gone[p_from[v_edge]] or v_gone[p_to[v_edge]];
        v_left[p_from[v_edge]] := v_left[p_from[v_edge]] + 1;
        v_next[v_edge] := v_first[p_to[v_edge]];
        v_first[p_to[v_edge]] := v_edge;
    end loop;
    for v_node in 1 .. cardinality(v_gone) loop
        continue when v_gone[v_node] or v_left[v_node] > 0;
        v_last := v_last + 1;
        v_ends[v_last] := v_node;
    end loop;
    while v_last > 0 loop
        v_node := v_ends[v_last];
        v_last := v_last - 1;
        v_gone[v_node] := true;
        v_edge := v_first[v_node];
        while v_edge > 0 loop
            v_left[p_from[v_edge]] := v_left[p_from[v_edge]] - 1;
            if v_left[p_from[v_edge]] = 0 then
                v_last := v_last + 1;
                v_ends[v_last] := p_from[v_edge];
            end if;
            v_edge := v_next[v_edge];
        end loop;
    end loop;
    return v_gone;
end $$;

-- Touches nothing else, so that a person can mend what was written. A row that somebody else is changing is left to the
-- next claim: who waits for nobody cannot be part of a deadlock.
create or replace function ccm.hold(p_task_ids text[], p_reasons text[], p_details text[]) returns void
language sql set search_path = '' as $$
    with due as materialized (
        select t.task_id, wanted.reason, wanted.detail
        from unnest(p_task_ids, p_reasons, p_details) as wanted (task_id, reason, detail)
        join public.tasks t on t.task_id = wanted.task_id
        where t.status = 'queued'
        for no key update of t skip locked
    )
    update public.tasks t
    set status = 'held', hold_reason = due.reason, hold_detail = due.detail, hold_until = null, updated_at = ccm.now()
    from due where t.task_id = due.task_id
$$;

-- The rest of many is left to the next claims, so that none takes too long.
create or replace function ccm.hold_unworkable() returns void
language plpgsql set search_path = '' set enable_seqscan = off as $$
begin
    perform ccm.hold(array_agg(bad.task_id), array_agg('invalid'::text), array_agg(bad.problem))
    from (
        select t.task_id, ccm.problem_with(t) as problem from public.tasks t
        where t.status = 'queued' and not ccm.is_workable(t.project, t.prompt) limit 1000
    ) as bad
    having count(*) > 0;
end $$;

-- Tasks of a project that no system has, and those meant for this system when it has not.
create or replace function ccm.hold_homeless(p_system_id text) returns void
language plpgsql set search_path = ''
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set plan_cache_mode = force_generic_plan
as $$
begin
    perform ccm.hold(array_agg(task_id), array_agg('invalid'::text), array_agg(format(
        '%s named %s: %s with `ccm-orchestrator project add PATH`, then `ccm-orchestrator task release %s`.',
        lack, ccm.quoted(left(project, 100)), cure, task_id)))
    from (
        with recursive queued (project) as (
            -- from one project to the next by the index, however many tasks each has
            (select t.project from public.tasks t where t.status = 'queued' order by t.project limit 1)
            union all
            select (
                select t.project from public.tasks t
                where t.status = 'queued' and t.project > queued.project order by t.project limit 1
            )
            from queued where queued.project is not null
        ), unknown as materialized (
            select queued.project from queued
            where queued.project is not null and not exists (select from public.projects p where p.name = queued.project)
            limit 1000
        ), homeless as (
            (select task.task_id, task.project, 'There is no project' as lack, 'add it' as cure
            from unknown cross join lateral (
                select t.task_id, t.project from public.tasks t where t.project = unknown.project and t.status = 'queued'
            ) as task limit 1000)
            union all
            (select t.task_id, t.project, format('System %s has no project', ccm.quoted(p_system_id)), 'add it there'
            from public.tasks t
            where t.status = 'queued' and t.system_id = p_system_id
                and not exists (select from public.projects p where p.system_id = p_system_id and p.name = t.project)
                and exists (select from public.projects p where p.name = t.project) limit 1000)
        )
        select task_id, project, lack, cure from homeless
    ) as homeless
    having count(*) > 0;
end $$;

-- Tasks that wait in vain, with the first one because of which they do, in the words of domain/queueing.py.
create or replace function ccm.hold_hopeless() returns void
language sql set search_path = '' as $$
    select ccm.hold(array_agg(task_id), array_agg(reason), array_agg(detail))
    from (
        select t.task_id, vain.reason, vain.detail from public.tasks t
        cross join lateral (
            select
                case when awaited.task_id is null then 'invalid' else 'dependency' end as reason,
                case when awaited.task_id is null
                    then format('It waits for task %s, which does not exist: mend its `after`.',
                        ccm.quoted(left(wanted.task_id, 100)))
                    else format('It waits for task %1$s, which %2$s: `ccm-orchestrator task retry %1$s`, '
                        'or cancel this one.',
                        awaited.task_id, case awaited.status when 'failed' then 'failed' else 'was cancelled' end)
                end as detail
            from unnest(t.after) with ordinality as wanted (task_id, place)
            left join public.tasks awaited on awaited.task_id = wanted.task_id
            where awaited.task_id is null or awaited.status in ('failed', 'cancelled')
            order by wanted.place limit 1
        ) as vain
        where t.status = 'queued' and t.after <> '{}' limit 1000
    ) as hopeless
    having count(*) > 0
$$;

create or replace function ccm.hold_depending() returns void
language plpgsql set search_path = '' as $$
declare
    v_hopeless boolean;
    v_backward boolean;
    v_circular text[];
begin
    select
        bool_or(awaited.task_id is null or awaited.status in ('failed', 'cancelled')),
        bool_or(awaited.status = 'queued' and awaited.seq >= t.seq)
    into v_hopeless, v_backward
    from public.tasks t
    cross join lateral unnest(t.after) as wanted (task_id)
    left join public.tasks awaited on awaited.task_id = wanted.task_id
    where t.status = 'queued' and t.after <> '{}';
    if v_backward then -- there is no circle without a task that waits for a younger one, which only people write
        v_circular := ccm.circular_tasks();
        perform ccm.hold(v_circular,
            array_fill('invalid'::text, array[cardinality(v_circular)]),
            array_fill('It waits for itself, by way of the tasks in its `after`: take one of them out.'::text,
                array[cardinality(v_circular)]));
    end if;
    if v_hopeless then
        perform ccm.hold_hopeless();
    end if;
end $$;

-- What the system may be given now. Without SET, so that each query that reads from it makes its own plan of it.
create or replace function ccm.claimable(p_project text, p_system_id text, p_labels text[], p_now timestamptz)
returns setof public.tasks
language sql stable as $$
    select t.* from public.tasks t
    where t.project = p_project and t.status = 'queued'
        and (t.run_after is null or t.run_after <= p_now)
        and (t.open or t.system_id = p_system_id)
        and t.labels <@ p_labels
        and ccm.is_workable(t.project, t.prompt)
        and (t.after = '{}' or not exists (
            select from unnest(t.after) as wanted (task_id)
            left join public.tasks awaited on awaited.task_id = wanted.task_id
            where awaited.status is distinct from 'succeeded'))
$$;

-- Up to `p_count` tasks, locked, in the order of domain/queueing.py: by priority, then the project with fewest leased
-- tasks (each one chosen counts), then age. Of each project no more rows are looked at than may be wanted, and of more
-- projects than may be wanted only those whose first rows come first: no row of another one can be among the chosen.
create or replace function ccm.choose_tasks(p_system_id text, p_labels text[], p_count integer) returns text[]
language plpgsql set search_path = ''
-- Few rows by the index is right however many tasks wait, and however little the planner knows of them.
set enable_seqscan = off set enable_bitmapscan = off set enable_hashjoin = off set enable_mergejoin = off
set plan_cache_mode = force_generic_plan
as $$
declare
    v_now timestamptz := ccm.now();
    v_projects bigint := (select count(*) from public.projects where system_id = p_system_id);
    v_width integer := p_count + 5;
    v_chosen text[];
    v_seen integer;
begin
    loop
        with wanted as (
            select p.name, leased.n as leased
            from public.projects p
            cross join lateral (
                select count(*) as n from public.tasks t
                where t.project = p.name and t.status in ('claimed', 'running', 'waiting', 'orphaned')
            ) as leased
            left join lateral (
                select t.priority, t.seq from ccm.claimable(p.name, p_system_id, p_labels, v_now) as t
                where v_projects > v_width order by t.priority desc, t.seq limit 1
            ) as first on true
            where p.system_id = p_system_id and (v_projects <= v_width or first.seq is not null)
            order by first.priority desc, leased.n, first.seq limit v_width
        ), likely as materialized (
            select q.task_id, q.priority, q.seq,
                wanted.leased + row_number() over (partition by wanted.name order by q.priority desc, q.seq) as load
            from wanted
            cross join lateral (
                select t.task_id, t.priority, t.seq from ccm.claimable(wanted.name, p_system_id, p_labels, v_now) as t
                order by t.priority desc, t.seq limit v_width
            ) as q
            order by q.priority desc, load, q.seq limit v_width
        ), chosen as (
            select t.task_id, likely.priority, likely.load, likely.seq
            from likely join public.tasks t on t.task_id = likely.task_id
            where t.status = 'queued'
            order by likely.priority desc, likely.load, likely.seq limit p_count
            for no key update of t skip locked
        )
        select array_agg(task_id order by priority desc, load, seq), (select count(*) from likely)
        into v_chosen, v_seen from chosen;
        exit when coalesce(cardinality(v_chosen), 0) = p_count or v_seen < v_width;
        v_width := v_width * 4; -- others were quicker: better ones may lie beyond those that were looked at
    end loop;
    return coalesce(v_chosen, '{}');
end $$;

-- A claim whose answer was lost: those of its tasks whose runs have not begun, with the same fences and a fresh lease.
create or replace function ccm.repeat_claim(p_request_id text, p_boot_id text, p_until timestamptz) returns text[]
language plpgsql set search_path = '' as $$
declare
    v_ids text[];
begin
    select array_agg(x.task_id) into v_ids from (
        select t.task_id from public.tasks t join public.task_leases l on l.task_id = t.task_id
        where l.claim_request = p_request_id and ccm.is_leased(t.status)
        order by t.task_id for no key update of t
    ) as x;
    update public.task_leases set boot_id = p_boot_id, expires_at = p_until
    where task_id = any (v_ids) and claim_request = p_request_id;
    update public.tasks set status = 'claimed', updated_at = ccm.now() where task_id = any (v_ids);
    return array(
        select t.task_id from public.tasks t where t.task_id = any (v_ids) order by t.priority desc, t.seq
    );
end $$;

create or replace function ccm.lease_end(p_lease_s float8) returns timestamptz
language sql stable return ccm.now() + make_interval(secs => least(greatest(coalesce(p_lease_s, 0), 1), 86400));

create or replace function ccm.take(
    p_task_ids text[], p_request_id text, p_system_id text, p_boot_id text, p_until timestamptz
) returns void
language plpgsql set search_path = ''
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set plan_cache_mode = force_generic_plan
as $$
begin
    insert into ccm.claim_requests (request_id, system_id, at) values (p_request_id, p_system_id, ccm.now());
    update public.tasks t set
        status = 'claimed', fence = t.fence + 1, attempt = t.attempt + 1, updated_at = ccm.now(),
        profile = coalesce(
            t.profile,
            (select p.profile from public.projects p where p.system_id = p_system_id and p.name = t.project),
            'executor')
    where t.task_id = any (p_task_ids);
    insert into public.task_leases as l (task_id, system_id, boot_id, expires_at, claim_request)
    select unnest(p_task_ids), p_system_id, p_boot_id, p_until, p_request_id
    on conflict (task_id) do update set
        system_id = excluded.system_id, boot_id = excluded.boot_id, expires_at = excluded.expires_at,
        claim_request = excluded.claim_request;
end $$;

create or replace function public.claim_tasks(
    p_request_id text, p_system_id text, p_boot_id text, p_count integer, p_lease_s float8
) returns jsonb
language plpgsql security definer set search_path = '' set jit = off as $$
declare
    v_until timestamptz := ccm.lease_end(p_lease_s);
    v_owner text;
    v_system public.systems;
    v_ids text[];
begin
    perform ccm.require_system(p_system_id);
    -- of repetitions that come at the same time one claims, the others find its answer
    perform pg_advisory_xact_lock(hashtextextended(p_request_id, 0));
    select system_id into v_owner from ccm.claim_requests where request_id = p_request_id;
    if v_owner = p_system_id then
        v_ids := ccm.repeat_claim(p_request_id, p_boot_id, v_until); -- a statement of its own: the next one sees it
        return ccm.tasks_json(v_ids);
    elsif v_owner is not null then
        return '[]'; -- what another system was given is none of this one's business
    end if;
    v_system := ccm.beat(p_system_id, p_boot_id);
    if v_system.draining or p_count is null or p_count <= 0 then
        return '[]';
    end if;
    perform ccm.hold_unworkable();
    perform ccm.hold_homeless(p_system_id);
    perform ccm.hold_depending();
    v_ids := ccm.choose_tasks(p_system_id, v_system.labels, least(p_count, 1000));
    if v_ids <> '{}' then
        perform ccm.take(v_ids, p_request_id, p_system_id, p_boot_id, v_until);
    end if;
    return ccm.tasks_json(v_ids);
end $$;

revoke all on all functions in schema ccm from public;
revoke all on function public.claim_tasks from public, anon, authenticated;
grant execute on function public.claim_tasks to authenticated, service_role;

insert into ccm.migrations (name) values ('20261125000006_claiming') on conflict do nothing;
