-- A task can be added by hand: insert into tasks (project, prompt) values ('demo', 'Fix the failing test');

create table if not exists public.systems (
    system_id       text        not null primary key,
    system_name     text,
    boot_id         text        not null default '',        -- one per start of its daemon
    version         text,
    max_agents      integer,
    labels          text[]      not null default '{}',
    draining        boolean     not null default false,     -- it finishes what it has and claims nothing new
    last_seen       timestamptz not null default ccm.now(), -- heartbeat, written every few seconds at most
    connected_since timestamptz not null default ccm.now(), -- start of the time without a gap in its heartbeats
    created_at      timestamptz not null default ccm.now()
);

-- What a system says it has. The directory is decided on the machine and never read from here.
create table if not exists public.projects (
    system_id  text        not null references public.systems on delete cascade,
    name       text        not null,                        -- what tasks call it
    path       text,
    profile    text,                                        -- profile of tasks that name none; null: executor
    created_at timestamptz not null default ccm.now(),
    primary key (system_id, name)
);
create index if not exists projects_name on public.projects (name);

-- Whether an agent could work on it at all: some prompt, not over 4 MB, and the name of some project. Blank is what Python
-- takes for blank. Without SET, so that it is written into the index below as the plain condition that it is.
create or replace function ccm.is_workable(p_project text, p_prompt text) returns boolean
language sql immutable as $$
    select octet_length(p_prompt) <= 4000000 and p_project ~ '\S'
        and p_prompt ~ '[^\s\x1c-\x1f\u0085\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]'
$$;

-- As domain/routing.py says it.
create or replace function ccm.are_labels(p_labels text[]) returns boolean
language sql immutable set search_path = '' as $$
    select coalesce(bool_and(label ~ '^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$'), true) from unnest(p_labels) as label
$$;
revoke all on function ccm.is_workable, ccm.are_labels from public;
grant execute on function ccm.is_workable, ccm.are_labels to authenticated, service_role;

create table if not exists public.tasks (
    task_id             text collate "C" not null primary key default replace(gen_random_uuid()::text, '-', ''),
    seq                 bigint      not null generated always as identity,  -- order of creation
    project             text        not null,               -- a name in projects
    prompt              text        not null,               -- what the agent is told
    profile             text,                               -- null: the project's, or executor
    status              text        not null default 'queued',
    priority            integer     not null default 0,     -- higher goes first
    created_at          timestamptz not null default ccm.now(),
    updated_at          timestamptz not null default ccm.now(),
    run_after           timestamptz,                        -- not claimed before
    after               text[]      not null default '{}',  -- ids of tasks that must have succeeded first
    dedup_key           text,                               -- one unfinished task per key
    max_attempts        integer     not null default 2,
    attempt             integer     not null default 0,     -- tries that count against max_attempts
    infra_attempt       integer     not null default 0,     -- consecutive tries lost to infrastructure
    time_limit_s        float8,                             -- null: the profile's
    budget_usd          float8,                             -- null: the profile's
    model               text,                               -- null: the profile's
    tags                text[]      not null default '{}',
    labels              text[]      not null default '{}',  -- a system must have all of them
    system_id           text,                               -- the system meant to run it; null: any
    open                boolean     not null,               -- system_id is null; Realtime cannot filter by null
    source              text        not null default 'supabase',
    created_by          uuid        default ccm.user_id(),
    created_by_system   text        default ccm.current_system_id(),
    fence               bigint      not null default 0,     -- raised by each claim; a stale one is refused
    fence_floor         bigint      not null default 0,     -- the fence when a person last retried or released it
    run_id              text,                               -- the run that began it last
    hold_reason         text,                               -- why it is held
    hold_detail         text,                               -- the sentence for a person
    hold_until          timestamptz,                        -- when it is released by itself; null: by a person only
    cancel_requested_at timestamptz,
    result              jsonb,                              -- the outcome, once there is one
    constraint "status must be one that docs/architecture.md names" check (status in
        ('queued', 'claimed', 'running', 'waiting', 'orphaned', 'held', 'succeeded', 'failed', 'cancelled')),
    constraint "task_id must be 4 to 64 letters, digits, _ or -" check (task_id ~ '^[A-Za-z0-9_-]{4,64}$'),
    constraint "priority must be a whole number from -1000 to 1000" check (priority between -1000 and 1000),
    constraint "max_attempts must be a whole number from 1 to 20" check (max_attempts between 1 and 20),
    constraint "attempt must be a whole number" check (attempt >= 0),
    constraint "infra_attempt must be a whole number" check (infra_attempt >= 0),
    constraint "fence must be a whole number" check (fence >= 0),
    constraint "fence_floor must be a whole number" check (fence_floor >= 0),
    constraint "time_limit_s must be a positive number of seconds" check (time_limit_s > 0 and time_limit_s < 'Infinity'),
    constraint "budget_usd must be a positive number" check (budget_usd > 0 and budget_usd < 'Infinity'),
    constraint "run_after must be a time before the year 9999" check (run_after < '9999-01-01Z' and isfinite(run_after)),
    constraint "hold_until must be a time before the year 9999" check (hold_until < '9999-01-01Z' and isfinite(hold_until)),
    constraint "after must be a plain list of task ids" check (
        coalesce(array_ndims(after), 1) = 1 and array_position(after, null) is null),
    constraint "tags must be a plain list of texts" check (
        coalesce(array_ndims(tags), 1) = 1 and array_position(tags, null) is null),
    constraint "labels must be a plain list of texts" check (
        coalesce(array_ndims(labels), 1) = 1 and array_position(labels, null) is null),
    constraint "each of labels must be 1 to 63 letters, digits, ., _ or -" check (
        labels = '{}' or ccm.are_labels(labels)),
    constraint "a held task, and no other, has one of the known hold_reasons" check (
        case when status = 'held' then hold_reason is not null and hold_reason in
            ('approval', 'budget', 'usage_limit', 'attempts_exhausted', 'poison', 'untrusted_source', 'invalid',
             'dependency', 'setup')
        else hold_reason is null end)
);

create unique index if not exists "one unfinished task per dedup_key" on public.tasks (dedup_key)
    where dedup_key is not null and status not in ('succeeded', 'failed', 'cancelled');
create index if not exists tasks_queued on public.tasks (project, priority desc, seq) where status = 'queued';
create index if not exists tasks_depending on public.tasks (task_id) where status = 'queued' and after <> '{}';
create index if not exists tasks_addressed on public.tasks (system_id, project)
    where status = 'queued' and system_id is not null;
-- Queued rows that no agent could work on; hardly ever has one an entry here for long.
create index if not exists tasks_unworkable on public.tasks (task_id)
    where status = 'queued' and not ccm.is_workable(project, prompt);
create index if not exists tasks_leased on public.tasks (project, task_id)
    where status in ('claimed', 'running', 'waiting', 'orphaned');
create index if not exists tasks_held on public.tasks (task_id) where status = 'held';
create index if not exists tasks_ended on public.tasks (updated_at)
    where status in ('succeeded', 'failed', 'cancelled');
create index if not exists tasks_seq on public.tasks (seq);
create index if not exists tasks_status on public.tasks (status, seq);
create index if not exists tasks_project on public.tasks (project, seq);
create index if not exists tasks_created_by on public.tasks (created_by, seq) where created_by is not null;

-- Who may write to a task while it is leased. Apart, so that renewing rewrites no task and Realtime hears nothing of it.
-- Changed only under the lock of the task's own row.
create table if not exists public.task_leases (
    task_id       text collate "C" not null primary key references public.tasks on delete cascade,
    system_id     text        not null,
    boot_id       text        not null,
    expires_at    timestamptz not null,
    claim_request text                                      -- the claim whose run has not begun
);
create index if not exists task_leases_system on public.task_leases (system_id);
create index if not exists task_leases_claim on public.task_leases (claim_request) where claim_request is not null;

create table if not exists public.task_events (
    event_id  bigint      not null generated always as identity primary key,
    system_id text        not null,
    event_key text        not null,                         -- chosen by the system: sending it again stores nothing
    task_id   text collate "C" references public.tasks on delete cascade,
    run_id    text,
    kind      text        not null,
    at        timestamptz not null default ccm.now(),
    data      jsonb       not null default '{}',
    unique (system_id, event_key)
);
create index if not exists task_events_task on public.task_events (task_id, event_id);
create index if not exists task_events_at on public.task_events (at);

create table if not exists public.system_metrics (
    metric_id  bigint      not null generated always as identity primary key,
    system_id  text        not null,
    metric_key text        not null,                        -- chosen by the system: sending it again stores nothing
    at         timestamptz not null default ccm.now(),
    data       jsonb       not null default '{}',
    unique (system_id, metric_key)
);
create index if not exists system_metrics_at on public.system_metrics (at);

-- Who, of all the people that can sign in to the project, may have agents work on the machines.
create table if not exists public.members (
    user_id    uuid        not null primary key,
    role       text        not null default 'submitter',
    created_at timestamptz not null default ccm.now(),
    constraint "role must be submitter or admin" check (role in ('submitter', 'admin'))
);

create table if not exists public.api_keys (
    key_id       text        not null primary key default replace(gen_random_uuid()::text, '-', ''),
    owner        uuid,
    system_id    text,
    name         text        not null,
    prefix       text        not null,                      -- enough of it to recognise it by
    hash         bytea       not null unique,               -- SHA-256 of the whole key, which is stored nowhere
    scopes       text[]      not null default '{}',
    created_at   timestamptz not null default ccm.now(),
    expires_at   timestamptz,
    revoked_at   timestamptz,
    last_used_at timestamptz
);

create table if not exists ccm.claim_requests (
    request_id text        not null primary key,            -- answered with tasks: repeating it claims nothing new
    system_id  text        not null,
    at         timestamptz not null
);
create index if not exists claim_requests_at on ccm.claim_requests (at);

create table if not exists ccm.outcomes (
    task_id text collate "C" not null references public.tasks on delete cascade,
    fence   bigint      not null,
    at      timestamptz not null,
    result  jsonb       not null,                           -- as it was recorded; kept when the task is retried
    primary key (task_id, fence)
);

create table if not exists ccm.late_results (
    seq     bigint      not null generated always as identity primary key,
    task_id text collate "C" not null,
    fence   bigint      not null,                           -- the stale fence it came with
    at      timestamptz not null,
    result  jsonb       not null                            -- refused: evidence only
);
create index if not exists late_results_task on ccm.late_results (task_id, seq);
create index if not exists late_results_at on ccm.late_results (at);

create or replace function ccm.mark_open() returns trigger
language plpgsql set search_path = '' as $$
begin
    new.open := new.system_id is null;
    return new;
end $$;
revoke all on function ccm.mark_open from public;

create or replace trigger tasks_open before insert or update of system_id, open on public.tasks
    for each row execute function ccm.mark_open();

create or replace view public.silent_systems with (security_invoker = true) as
select
    system_id, system_name, last_seen,
    extract(epoch from ccm.now() - last_seen)::float8 as silent_s
from public.systems
where last_seen < ccm.now() - interval '5 minutes';

insert into ccm.migrations (name) values ('20261125000002_tables') on conflict do nothing;
