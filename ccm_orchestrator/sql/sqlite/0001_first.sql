-- Times are UTC in ISO 8601 ("2026-01-31T12:00:00.000000Z"); lists and documents are JSON.
-- A task can be added by hand: INSERT INTO tasks(project, prompt) VALUES('demo', 'Fix the failing test');

CREATE TABLE projects (
    name       TEXT NOT NULL PRIMARY KEY,   -- what tasks call it
    path       TEXT NOT NULL,               -- absolute directory; registering it is what makes it trusted
    profile    TEXT,                        -- profile of tasks that name none; NULL: executor
    created_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
);

CREATE TABLE tasks (
    seq                 INTEGER PRIMARY KEY AUTOINCREMENT,                              -- order of creation
    task_id             TEXT    NOT NULL UNIQUE DEFAULT (lower(hex(randomblob(16)))),
    project             TEXT    NOT NULL,                                               -- a name in projects
    prompt              TEXT    NOT NULL,                                               -- what the agent is told
    profile             TEXT,                          -- NULL: filled in with the project's, or executor
    status              TEXT    NOT NULL DEFAULT 'queued',
    priority            INTEGER NOT NULL DEFAULT 0,    -- higher goes first
    created_at          TEXT    NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
    updated_at          TEXT    NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
    run_after           TEXT,                          -- not claimed before
    after               TEXT    NOT NULL DEFAULT '[]', -- ids of tasks that must have succeeded first
    dedup_key           TEXT,                          -- one non-terminal task per key
    max_attempts        INTEGER NOT NULL DEFAULT 2,
    attempt             INTEGER NOT NULL DEFAULT 0,    -- tries that count against max_attempts
    infra_attempt       INTEGER NOT NULL DEFAULT 0,    -- consecutive tries lost to infrastructure
    time_limit_s        REAL,                          -- NULL: the profile's
    budget_usd          REAL,                          -- NULL: the profile's
    model               TEXT,                          -- NULL: the profile's
    tags                TEXT    NOT NULL DEFAULT '[]',
    system_id           TEXT,                          -- the system meant to run it; NULL: any
    source              TEXT    NOT NULL DEFAULT 'sql',-- who asked: cli, api, sql, a webhook
    fence               INTEGER NOT NULL DEFAULT 0,    -- raised by each claim; a stale one is refused
    fence_floor         INTEGER NOT NULL DEFAULT 0,    -- the fence when a person last retried or released it
    lease_system_id     TEXT,                          -- who may write to it, while it is leased
    lease_boot_id       TEXT,
    lease_expires_at    TEXT,
    claim_request       TEXT,                          -- the claim whose run has not begun
    run_id              TEXT,                          -- the run that began it last
    hold_reason         TEXT,                          -- why it is held
    hold_detail         TEXT,                          -- the sentence for a person
    hold_until          TEXT,                          -- when it is released by itself; NULL: by a person only
    cancel_requested_at TEXT,
    result              TEXT,                          -- the outcome, once there is one
    CONSTRAINT "status must be one that docs/architecture.md names" CHECK (status IN
        ('queued', 'claimed', 'running', 'waiting', 'orphaned', 'held', 'succeeded', 'failed', 'cancelled')),
    CONSTRAINT "task_id must be 4 to 64 letters, digits, _ or -" CHECK (
        typeof(task_id) = 'text' AND length(task_id) BETWEEN 4 AND 64 AND task_id NOT GLOB '*[^A-Za-z0-9_-]*'),
    CONSTRAINT "priority must be a whole number from -1000 to 1000"
        CHECK (typeof(priority) = 'integer' AND priority BETWEEN -1000 AND 1000),
    CONSTRAINT "max_attempts must be a whole number from 1 to 20"
        CHECK (typeof(max_attempts) = 'integer' AND max_attempts BETWEEN 1 AND 20),
    CONSTRAINT "attempt must be a whole number" CHECK (typeof(attempt) = 'integer' AND attempt >= 0),
    CONSTRAINT "infra_attempt must be a whole number" CHECK (typeof(infra_attempt) = 'integer' AND infra_attempt >= 0),
    CONSTRAINT "fence must be a whole number" CHECK (typeof(fence) = 'integer' AND fence >= 0),
    CONSTRAINT "fence_floor must be a whole number" CHECK (typeof(fence_floor) = 'integer' AND fence_floor >= 0),
    CONSTRAINT "time_limit_s must be a positive number of seconds"
        CHECK (time_limit_s IS NULL OR (typeof(time_limit_s) = 'real' AND time_limit_s > 0)),
    CONSTRAINT "budget_usd must be a positive number"
        CHECK (budget_usd IS NULL OR (typeof(budget_usd) = 'real' AND budget_usd > 0))
);

CREATE INDEX tasks_queued ON tasks (priority, project, seq, task_id, run_after, after, system_id)
    WHERE status = 'queued';
CREATE INDEX tasks_leased ON tasks (project, task_id, lease_expires_at)
    WHERE status IN ('claimed', 'running', 'waiting', 'orphaned');
CREATE INDEX tasks_held ON tasks (task_id, hold_reason, hold_until) WHERE status = 'held';
CREATE INDEX tasks_claim ON tasks (claim_request) WHERE claim_request IS NOT NULL;
CREATE INDEX tasks_status ON tasks (status, seq);
CREATE INDEX tasks_project ON tasks (project, seq);
CREATE UNIQUE INDEX "one unfinished task per dedup_key" ON tasks (dedup_key)
    WHERE dedup_key IS NOT NULL AND status NOT IN ('succeeded', 'failed', 'cancelled');

CREATE TRIGGER tasks_profile AFTER INSERT ON tasks WHEN NEW.profile IS NULL BEGIN
    UPDATE tasks SET profile = coalesce((SELECT profile FROM projects WHERE name = NEW.project), 'executor')
    WHERE seq = NEW.seq;
END;

-- One number, raised whenever something may have become claimable or cancelled, whoever wrote it.
CREATE TABLE task_changes (
    n INTEGER NOT NULL
);
INSERT INTO task_changes VALUES (0);

CREATE TRIGGER tasks_added AFTER INSERT ON tasks BEGIN
    UPDATE task_changes SET n = n + 1;
END;

CREATE TRIGGER tasks_changed AFTER UPDATE ON tasks
WHEN NEW.status IN ('queued', 'succeeded', 'failed', 'cancelled')
    OR NEW.cancel_requested_at IS NOT OLD.cancel_requested_at
BEGIN
    UPDATE task_changes SET n = n + 1;
END;

CREATE TABLE claim_requests (
    request_id TEXT NOT NULL PRIMARY KEY,   -- answered with tasks: repeating it claims nothing new
    system_id  TEXT NOT NULL,
    at         TEXT NOT NULL
);

CREATE TABLE outcomes (
    task_id TEXT    NOT NULL,
    fence   INTEGER NOT NULL,
    at      TEXT    NOT NULL,
    result  TEXT    NOT NULL,               -- as it was recorded; kept when the task is retried
    PRIMARY KEY (task_id, fence)
);

CREATE TABLE late_results (
    seq     INTEGER PRIMARY KEY AUTOINCREMENT,
    task_id TEXT    NOT NULL,
    fence   INTEGER NOT NULL,               -- the stale fence it came with
    at      TEXT    NOT NULL,
    result  TEXT    NOT NULL                -- refused: evidence only
);
CREATE INDEX late_results_task ON late_results (task_id, fence);

CREATE TABLE systems (
    system_id       TEXT    NOT NULL PRIMARY KEY,
    boot_id         TEXT    NOT NULL,           -- one per start of its daemon
    last_seen       TEXT    NOT NULL,           -- heartbeat
    connected_since TEXT    NOT NULL,           -- start of the time without a gap in its heartbeats
    draining        INTEGER NOT NULL DEFAULT 0  -- 1: it finishes what it has and claims nothing new
);

CREATE TRIGGER systems_undrained AFTER UPDATE OF draining ON systems WHEN NEW.draining = 0 AND OLD.draining <> 0 BEGIN
    UPDATE task_changes SET n = n + 1;
END;

CREATE TABLE daemon (
    id         INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    term       INTEGER NOT NULL,            -- raised at every start of an orchestrator; writes of an older one fail
    boot_id    TEXT    NOT NULL,
    started_at TEXT    NOT NULL
);

CREATE TABLE open_claims (
    seq        INTEGER PRIMARY KEY AUTOINCREMENT,
    request_id TEXT NOT NULL UNIQUE,        -- sent, or about to be, and never answered
    request    TEXT NOT NULL
);

CREATE TABLE runs (
    seq        INTEGER PRIMARY KEY AUTOINCREMENT,
    run_id     TEXT    NOT NULL UNIQUE,
    task_id    TEXT    NOT NULL,
    fence      INTEGER NOT NULL,
    state      TEXT    NOT NULL,
    created_at TEXT    NOT NULL,
    run        TEXT    NOT NULL             -- the whole run
);
CREATE INDEX runs_open ON runs (seq) WHERE state <> 'ended';
CREATE INDEX runs_task ON runs (task_id, seq);

CREATE TABLE agent_views (
    run_id TEXT NOT NULL PRIMARY KEY,
    state  TEXT NOT NULL,
    view   TEXT NOT NULL                    -- what is believed of the agent, and on which evidence
);

CREATE TABLE messages (
    seq        INTEGER PRIMARY KEY AUTOINCREMENT,
    message_id TEXT NOT NULL UNIQUE,
    run_id     TEXT NOT NULL,
    text       TEXT NOT NULL,
    status     TEXT NOT NULL,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL,
    detail     TEXT NOT NULL
);
CREATE INDEX messages_run ON messages (run_id, seq);

CREATE TABLE permissions (
    seq        INTEGER PRIMARY KEY AUTOINCREMENT,
    request_id TEXT NOT NULL UNIQUE,
    run_id     TEXT NOT NULL,
    status     TEXT NOT NULL,
    request    TEXT NOT NULL                -- the whole request, with its verdict
);
CREATE INDEX permissions_run ON permissions (run_id, seq);
CREATE INDEX permissions_open ON permissions (seq) WHERE status = 'open';

CREATE TABLE hook_events (
    seq             INTEGER PRIMARY KEY AUTOINCREMENT,
    event_id        TEXT NOT NULL UNIQUE,   -- RUN_ID/FILE_NAME
    run_id          TEXT NOT NULL,
    hook_event_name TEXT NOT NULL,
    at              TEXT NOT NULL,
    raw             BLOB NOT NULL           -- exactly as received
);
CREATE INDEX hook_events_run ON hook_events (run_id, seq);
CREATE INDEX hook_events_at ON hook_events (at);

CREATE TABLE events (
    seq     INTEGER PRIMARY KEY AUTOINCREMENT,  -- rises by commit order, never used again: the Last-Event-ID
    kind    TEXT NOT NULL,
    at      TEXT NOT NULL,
    task_id TEXT,
    run_id  TEXT,
    data    TEXT NOT NULL
);
CREATE INDEX events_task ON events (task_id, seq) WHERE task_id IS NOT NULL;
CREATE INDEX events_run ON events (run_id, seq) WHERE run_id IS NOT NULL;
CREATE INDEX events_at ON events (at);
