BEGIN TRANSACTION;
CREATE TABLE agent_views (
    run_id TEXT NOT NULL PRIMARY KEY,
    state  TEXT NOT NULL,
    view   TEXT NOT NULL                    -- what is believed of the agent, and on which evidence
);
INSERT INTO "agent_views" VALUES('1f3c9a2b000000000000000000000000','working','{"state":"working","since":"2026-02-01T00:00:00.000000Z","evidence":{"source":"hook","signal":"tool_started","at":"2026-02-01T00:00:00.000000Z","detail":"","data":{"tool_name":"Bash"},"subagent":false},"last_sign_of_life":"2026-02-01T00:00:00.000000Z","dialog":null,"tools_running":["t1"],"background_work":false}');
CREATE TABLE api_keys (
    key_id       TEXT NOT NULL PRIMARY KEY,
    name         TEXT NOT NULL,
    prefix       TEXT NOT NULL UNIQUE,      -- the part of the key that may be shown
    hash         TEXT NOT NULL UNIQUE,      -- SHA-256 of the whole key, in hex; the key itself is nowhere
    scopes       TEXT NOT NULL,             -- list: read, submit, control, approve, admin
    owner        TEXT,                      -- the user that it acts for and sees alone; NULL: everything here
    created_at   TEXT NOT NULL,
    created_by   TEXT NOT NULL,             -- name of the caller
    expires_at   TEXT,                      -- NULL: never
    last_used_at TEXT,                      -- to the minute
    revoked_at   TEXT
);
CREATE TABLE approval_rules (
    seq          INTEGER PRIMARY KEY AUTOINCREMENT,
    rule_id      TEXT NOT NULL UNIQUE,
    decision     TEXT NOT NULL,             -- deny, ask, allow: in this order they win
    tool         TEXT,                      -- conditions; NULL: none
    path         TEXT,
    command      TEXT,
    input_digest TEXT,                      -- SHA-256 of a tool's whole input, in hex
    project      TEXT,
    profile      TEXT,
    task_id      TEXT,                      -- the rule is made for the rest of this task
    owner        TEXT,                      -- the user for whose tasks alone it is; NULL: for all tasks here
    reason       TEXT NOT NULL,             -- told to an agent that is denied
    created_at   TEXT NOT NULL,
    created_by   TEXT NOT NULL
);
CREATE TABLE audit_log (
    seq     INTEGER PRIMARY KEY AUTOINCREMENT,
    at      TEXT    NOT NULL,
    caller  TEXT    NOT NULL,               -- its name: local, a key's prefix, a user's id
    kind    TEXT    NOT NULL,               -- local, key, user, internal, run, nobody
    owner   TEXT,                           -- the user that the caller acted for
    source  TEXT    NOT NULL,               -- address that the request came from
    action  TEXT    NOT NULL,               -- POST /api/tasks/{task_id}/stop
    target  TEXT    NOT NULL,               -- what was changed: a path, an id
    status  INTEGER NOT NULL,               -- of the answer
    before  TEXT,                           -- document: what is known of the target before the call
    after   TEXT                            -- document: and after it
);
CREATE TABLE claim_requests (
    request_id TEXT NOT NULL PRIMARY KEY,   -- answered with tasks: repeating it claims nothing new
    system_id  TEXT NOT NULL,
    at         TEXT NOT NULL
);
INSERT INTO "claim_requests" VALUES('claim-done-task','box','2026-02-01T00:00:00.000000Z');
INSERT INTO "claim_requests" VALUES('claim-held-task','box','2026-02-01T00:00:00.000000Z');
INSERT INTO "claim_requests" VALUES('claim-running-task','box','2026-02-01T00:00:00.000000Z');
CREATE TABLE daemon (
    id         INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    term       INTEGER NOT NULL,            -- raised at every start of an orchestrator; writes of an older one fail
    boot_id    TEXT    NOT NULL,
    started_at TEXT    NOT NULL
);
INSERT INTO "daemon" VALUES(1,1,'boot-1','2026-02-01T00:00:00.000000Z');
CREATE TABLE event_cursors (
    store TEXT    NOT NULL PRIMARY KEY,
    seq   INTEGER NOT NULL                  -- of the last event that was told
);
CREATE TABLE events (
    seq     INTEGER PRIMARY KEY AUTOINCREMENT,  -- rises by commit order, never used again: the Last-Event-ID
    kind    TEXT NOT NULL,
    at      TEXT NOT NULL,
    task_id TEXT,
    run_id  TEXT,
    data    TEXT NOT NULL
);
INSERT INTO "events" VALUES(1,'task.running','2026-02-01T00:00:00.000000Z','running-task','1f3c9a2b000000000000000000000000','{"a":1}');
INSERT INTO "events" VALUES(2,'hook','2026-02-01T00:00:00.000000Z','running-task','1f3c9a2b000000000000000000000000','{"hook_event_name":"Stop"}');
CREATE TABLE hook_events (
    seq             INTEGER PRIMARY KEY AUTOINCREMENT,
    event_id        TEXT NOT NULL UNIQUE,   -- RUN_ID/FILE_NAME
    run_id          TEXT NOT NULL,
    hook_event_name TEXT NOT NULL,
    at              TEXT NOT NULL,
    raw             BLOB NOT NULL           -- exactly as received
);
INSERT INTO "hook_events" VALUES(1,'1f3c9a2b000000000000000000000000/Stop.1.1.json','1f3c9a2b000000000000000000000000','Stop','2026-02-01T00:00:00.000000Z',X'7B22686F6F6B5F6576656E745F6E616D65223A2253746F70227D00');
CREATE TABLE incident_cursor (
    only INTEGER PRIMARY KEY CHECK (only = 1),
    seq  INTEGER NOT NULL
);
CREATE TABLE incidents (
    seq          INTEGER PRIMARY KEY AUTOINCREMENT,
    kind         TEXT    NOT NULL,
    subject      TEXT    NOT NULL,          -- what it happened to: this machine, a store, a task
    opened_at    TEXT    NOT NULL,
    detected_by  TEXT    NOT NULL,
    detail       TEXT    NOT NULL,
    attempts     INTEGER NOT NULL,          -- how often it was detected while it was open
    runs         TEXT    NOT NULL,          -- JSON list of the ids of affected runs
    recovered_at TEXT,                      -- NULL: open
    recovered_by TEXT
);
CREATE TABLE kept_tasks (
    run_id TEXT NOT NULL PRIMARY KEY,
    task   TEXT NOT NULL                    -- as it was claimed
);
CREATE TABLE late_results (
    seq     INTEGER PRIMARY KEY AUTOINCREMENT,
    task_id TEXT    NOT NULL,
    fence   INTEGER NOT NULL,               -- the stale fence it came with
    at      TEXT    NOT NULL,
    result  TEXT    NOT NULL                -- refused: evidence only
);
INSERT INTO "late_results" VALUES(1,'held-task',1,'2026-02-01T00:00:00.000000Z','{"outcome":"failed","text":"","failure":{"kind":"agent_exit","message":"It ended.","resets_at":null},"summary":{"files_read":[],"files_written":[],"commands":[],"tool_counts":{},"errors":[]},"usage":{"input_tokens":0,"output_tokens":0,"cache_read_tokens":0,"cache_creation_tokens":0,"cost_usd":null,"source":""},"git":null,"duration_s":0.0,"session_id":null,"transcript_path":null,"run_id":"","attempt":0}');
CREATE TABLE messages (
    seq        INTEGER PRIMARY KEY AUTOINCREMENT,
    message_id TEXT NOT NULL UNIQUE,
    run_id     TEXT NOT NULL,
    text       TEXT NOT NULL,
    status     TEXT NOT NULL,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL,
    detail     TEXT NOT NULL
, answer TEXT NOT NULL DEFAULT '');
INSERT INTO "messages" VALUES(1,'ff6d657e8fce4eaf8184dc9a7fef7854','1f3c9a2b000000000000000000000000','Go on','queued','2026-02-01T00:00:00.000000Z','2026-02-01T00:00:00.000000Z','','');
CREATE TABLE notice_cursor (
    only INTEGER PRIMARY KEY CHECK (only = 1),
    seq  INTEGER NOT NULL                   -- of the last event that was made into notices
);
CREATE TABLE notices (
    seq       INTEGER PRIMARY KEY AUTOINCREMENT,
    target    TEXT    NOT NULL,
    topic     TEXT    NOT NULL,             -- the same thing told again counts up instead
    event     TEXT    NOT NULL,
    level     TEXT    NOT NULL,
    title     TEXT    NOT NULL,
    body      TEXT    NOT NULL,
    at        TEXT    NOT NULL,             -- when it happened first
    due_at    TEXT    NOT NULL,             -- not to be sent before
    count     INTEGER NOT NULL,
    tries     INTEGER NOT NULL,
    status    TEXT    NOT NULL,             -- queued, sent, failed, withdrawn
    sent_at   TEXT,
    error     TEXT
);
CREATE TABLE open_claims (
    seq        INTEGER PRIMARY KEY AUTOINCREMENT,
    request_id TEXT NOT NULL UNIQUE,        -- sent, or about to be, and never answered
    request    TEXT NOT NULL
);
INSERT INTO "open_claims" VALUES(1,'claim-open','{"request_id":"claim-open","system_id":"box","boot_id":"boot-1","count":1,"lease_s":60.0}');
CREATE TABLE outbox (
    seq     INTEGER PRIMARY KEY AUTOINCREMENT,
    store   TEXT    NOT NULL,
    task_id TEXT    NOT NULL,
    fence   INTEGER NOT NULL,
    deed    TEXT    NOT NULL,               -- how the run ended: its result, and whether the task is given back
    UNIQUE (store, task_id, fence)
);
CREATE TABLE outcomes (
    task_id TEXT    NOT NULL,
    fence   INTEGER NOT NULL,
    at      TEXT    NOT NULL,
    result  TEXT    NOT NULL,               -- as it was recorded; kept when the task is retried
    PRIMARY KEY (task_id, fence)
);
INSERT INTO "outcomes" VALUES('done-task',1,'2026-02-01T00:00:00.000000Z','{"outcome":"succeeded","text":"It is mended.","failure":null,"summary":{"files_read":["a.py"],"files_written":["a.py"],"commands":[{"command":"make test","exit_code":0}],"tool_counts":{"Bash":1},"errors":[]},"usage":{"input_tokens":10,"output_tokens":20,"cache_read_tokens":30,"cache_creation_tokens":40,"cost_usd":0.25,"source":"result"},"git":{"base_commit":"abc1234","head_commit":"def5678","commits":["def5678 Fix the test"],"files_changed":["a.py"],"diff_stat":"1 file changed"},"duration_s":12.5,"session_id":"session","transcript_path":"/home/user/t.jsonl","run_id":"1f3c9a2b000000000000000000000000","attempt":1}');
CREATE TABLE outgoing_metrics (
    seq        INTEGER PRIMARY KEY AUTOINCREMENT,
    store      TEXT    NOT NULL,
    metric_key TEXT    NOT NULL,
    metric     TEXT    NOT NULL,
    UNIQUE (store, metric_key)
);
CREATE TABLE permissions (
    seq        INTEGER PRIMARY KEY AUTOINCREMENT,
    request_id TEXT NOT NULL UNIQUE,
    run_id     TEXT NOT NULL,
    status     TEXT NOT NULL,
    request    TEXT NOT NULL                -- the whole request, with its verdict
);
INSERT INTO "permissions" VALUES(1,'perm1111','1f3c9a2b000000000000000000000000','open','{"request_id":"perm1111","run_id":"1f3c9a2b000000000000000000000000","task_id":"task-one","dialog":"permission","tool_name":"Bash","tool_input":{"command":"make","nested":{"list":[1,null,"é"]}},"suggestions":[{"type":"addRules"}],"status":"open","created_at":"2026-01-01T00:00:00.000000Z","expires_at":"2026-01-01T00:01:00.000000Z","verdict":null,"decided_at":null}');
CREATE TABLE project_trust (
    project     TEXT NOT NULL,
    directory   TEXT NOT NULL,              -- another directory under the same name has no approvals
    file        TEXT NOT NULL,
    digest      TEXT NOT NULL,              -- of what matters in the file, and of the scripts that it names
    approved_at TEXT NOT NULL,
    approved_by TEXT NOT NULL,
    PRIMARY KEY (project, file, digest)
) WITHOUT ROWID;
CREATE TABLE projects (
    name       TEXT NOT NULL PRIMARY KEY,   -- what tasks call it
    path       TEXT NOT NULL,               -- absolute directory; registering it is what makes it trusted
    profile    TEXT,                        -- profile of tasks that name none; NULL: executor
    created_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
);
INSERT INTO "projects" VALUES('demo','/home/user/demo','planning','2026-02-01T00:00:00.000000Z');
CREATE TABLE queue_length (
    only   INTEGER PRIMARY KEY CHECK (only = 1),
    queued INTEGER NOT NULL
);
INSERT INTO "queue_length" VALUES(1,1);
CREATE TABLE runs (
    seq        INTEGER PRIMARY KEY AUTOINCREMENT,
    run_id     TEXT    NOT NULL UNIQUE,
    task_id    TEXT    NOT NULL,
    fence      INTEGER NOT NULL,
    state      TEXT    NOT NULL,
    created_at TEXT    NOT NULL,
    run        TEXT    NOT NULL             -- the whole run
);
INSERT INTO "runs" VALUES(1,'1f3c9a2b000000000000000000000000','running-task',1,'running','2026-01-01T00:00:00.000000Z','{"run_id":"1f3c9a2b000000000000000000000000","task_id":"running-task","fence":1,"attempt":1,"term":1,"state":"running","project":"demo","cwd":"/home/user/demo","profile":"executor","driver":"claude","mode":"print","session_id":"session","resumed":false,"created_at":"2026-01-01T00:00:00.000000Z","started_at":null,"ended_at":null,"window":{"server_pid":42,"server_start":1700000000,"window_id":"@3"},"agent":{"pid":43,"start":"12345"},"base_commit":null,"outcome":null,"ending":"","failure_kind":null,"daemon_deaths":0}');
CREATE TABLE schema_migrations (
    name       TEXT NOT NULL PRIMARY KEY,
    applied_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
);
INSERT INTO "schema_migrations" VALUES('0001_first','2026-11-21T11:43:07.073Z');
INSERT INTO "schema_migrations" VALUES('0002_routing','2026-11-25T16:10:11.601Z');
INSERT INTO "schema_migrations" VALUES('0003_outbox','2026-11-25T16:10:11.606Z');
INSERT INTO "schema_migrations" VALUES('0004_api','2026-11-25T18:34:09.549Z');
INSERT INTO "schema_migrations" VALUES('0005_sessions','2026-11-25T19:20:37.108Z');
INSERT INTO "schema_migrations" VALUES('0006_standing_agents','2026-11-25T19:20:37.488Z');
INSERT INTO "schema_migrations" VALUES('0007_approval_rules','2026-11-25T19:20:37.770Z');
INSERT INTO "schema_migrations" VALUES('0008_incidents','2026-11-26T01:19:08.501Z');
INSERT INTO "schema_migrations" VALUES('0009_project_trust','2026-11-26T04:02:57.440Z');
INSERT INTO "schema_migrations" VALUES('0011_notice_order','2026-11-26T04:41:51.179Z');
INSERT INTO "schema_migrations" VALUES('0010_runs_of_sessions','2026-11-26T11:54:33.701Z');
INSERT INTO "schema_migrations" VALUES('0012_queue_length','2026-11-26T11:54:33.703Z');
CREATE TABLE session_turns (
    session_id TEXT    NOT NULL REFERENCES sessions (session_id),
    number     INTEGER NOT NULL,
    task_id    TEXT    NOT NULL,
    created_at TEXT    NOT NULL,
    PRIMARY KEY (session_id, number),
    UNIQUE (session_id, task_id)
) WITHOUT ROWID;
CREATE TABLE sessions (
    session_id   TEXT    NOT NULL PRIMARY KEY,
    seq          INTEGER NOT NULL UNIQUE,       -- by age
    agent_type   TEXT    NOT NULL,
    project      TEXT    NOT NULL,
    profile      TEXT    NOT NULL,
    model        TEXT,
    options      TEXT    NOT NULL,              -- document: what it changes in the profile
    owner        TEXT,                          -- the user that began it; NULL: somebody of this machine
    one_shot     INTEGER NOT NULL,              -- 1: it takes no further messages
    created_at   TEXT    NOT NULL,
    last_used_at TEXT    NOT NULL
);
CREATE TABLE standing_agents (
    seq           INTEGER PRIMARY KEY AUTOINCREMENT,
    agent_id      TEXT NOT NULL UNIQUE,
    name          TEXT NOT NULL,
    owner         TEXT,               -- the user that it works for; NULL: somebody of this machine
    terminated_at TEXT,
    agent         TEXT NOT NULL       -- document: all of it
);
CREATE TABLE standing_messages (
    seq        INTEGER PRIMARY KEY AUTOINCREMENT,
    message_id TEXT NOT NULL UNIQUE,
    agent_id   TEXT NOT NULL REFERENCES standing_agents (agent_id),
    text       TEXT NOT NULL,
    model      TEXT,                  -- wished for from this message on; NULL: the agent's
    status     TEXT NOT NULL,         -- queued, delivered, accepted, answered, undelivered, failed
    detail     TEXT NOT NULL,
    answer     TEXT NOT NULL,
    task_id    TEXT,                  -- carries it, as its prompt or in its run; NULL: nobody does yet
    run_id     TEXT,                  -- whose message it is; NULL: of the task's newest run, the first one
    tries      INTEGER NOT NULL,      -- how often it was handed over
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL
);
CREATE TABLE systems (
    system_id       TEXT    NOT NULL PRIMARY KEY,
    boot_id         TEXT    NOT NULL,           -- one per start of its daemon
    last_seen       TEXT    NOT NULL,           -- heartbeat
    connected_since TEXT    NOT NULL,           -- start of the time without a gap in its heartbeats
    draining        INTEGER NOT NULL DEFAULT 0  -- 1: it finishes what it has and claims nothing new
, system_name TEXT, version TEXT, max_agents INTEGER NOT NULL DEFAULT 0, labels TEXT NOT NULL DEFAULT '[]');
INSERT INTO "systems" VALUES('box','boot-1','2026-02-01T00:00:00.000000Z','2026-02-01T00:00:00.000000Z',0,NULL,NULL,0,'[]');
CREATE TABLE task_changes (
    n INTEGER NOT NULL
);
INSERT INTO "task_changes" VALUES(5);
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
    result              TEXT, labels TEXT NOT NULL DEFAULT '[]', owner TEXT, options TEXT,                          -- the outcome, once there is one
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
INSERT INTO "tasks" VALUES(1,'done-task','demo','Fix the failing test','executor','succeeded',0,'2026-02-01T00:00:00.000000Z','2026-02-01T00:00:00.000000Z',NULL,'[]',NULL,2,1,0,NULL,NULL,NULL,'["a"]',NULL,'cli',1,0,NULL,NULL,NULL,NULL,'1f3c9a2b000000000000000000000000',NULL,NULL,NULL,NULL,'{"outcome":"succeeded","text":"It is mended.","failure":null,"summary":{"files_read":["a.py"],"files_written":["a.py"],"commands":[{"command":"make test","exit_code":0}],"tool_counts":{"Bash":1},"errors":[]},"usage":{"input_tokens":10,"output_tokens":20,"cache_read_tokens":30,"cache_creation_tokens":40,"cost_usd":0.25,"source":"result"},"git":{"base_commit":"abc1234","head_commit":"def5678","commits":["def5678 Fix the test"],"files_changed":["a.py"],"diff_stat":"1 file changed"},"duration_s":12.5,"session_id":"session","transcript_path":"/home/user/t.jsonl","run_id":"1f3c9a2b000000000000000000000000","attempt":1}','[]',NULL,NULL);
INSERT INTO "tasks" VALUES(2,'held-task','demo','Fix the failing test','executor','held',0,'2026-02-01T00:00:00.000000Z','2026-02-01T00:00:00.000000Z',NULL,'[]',NULL,2,0,0,NULL,NULL,NULL,'["a"]',NULL,'cli',1,0,NULL,NULL,NULL,NULL,'1f3c9a2b000000000000000000000000','budget','It cost 3 USD of 2: raise the budget.',NULL,NULL,NULL,'[]',NULL,NULL);
INSERT INTO "tasks" VALUES(3,'running-task','demo','Fix the failing test','executor','running',0,'2026-02-01T00:00:00.000000Z','2026-02-01T00:00:00.000000Z',NULL,'[]',NULL,2,1,0,NULL,NULL,NULL,'["a"]',NULL,'cli',1,0,'box','boot-1','2026-02-01T00:01:00.000000Z',NULL,'1f3c9a2b000000000000000000000000',NULL,NULL,NULL,NULL,NULL,'[]',NULL,NULL);
INSERT INTO "tasks" VALUES(4,'queued-task','demo','Then this','executor','queued',0,'2026-02-01T00:00:00.000000Z','2026-02-01T00:00:00.000000Z',NULL,'["done-task"]','issue-1',2,0,0,60.0,1.0,'small','[]',NULL,'cli',0,0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'[]',NULL,NULL);
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
CREATE TRIGGER tasks_added AFTER INSERT ON tasks BEGIN
    UPDATE task_changes SET n = n + 1;
END;
CREATE TRIGGER tasks_changed AFTER UPDATE ON tasks
WHEN NEW.status IN ('queued', 'succeeded', 'failed', 'cancelled')
    OR NEW.cancel_requested_at IS NOT OLD.cancel_requested_at
BEGIN
    UPDATE task_changes SET n = n + 1;
END;
CREATE INDEX late_results_task ON late_results (task_id, fence);
CREATE TRIGGER systems_undrained AFTER UPDATE OF draining ON systems WHEN NEW.draining = 0 AND OLD.draining <> 0 BEGIN
    UPDATE task_changes SET n = n + 1;
END;
CREATE INDEX runs_open ON runs (seq) WHERE state <> 'ended';
CREATE INDEX runs_task ON runs (task_id, seq);
CREATE INDEX messages_run ON messages (run_id, seq);
CREATE INDEX permissions_run ON permissions (run_id, seq);
CREATE INDEX permissions_open ON permissions (seq) WHERE status = 'open';
CREATE INDEX hook_events_run ON hook_events (run_id, seq);
CREATE INDEX hook_events_at ON hook_events (at);
CREATE INDEX events_task ON events (task_id, seq) WHERE task_id IS NOT NULL;
CREATE INDEX events_run ON events (run_id, seq) WHERE run_id IS NOT NULL;
CREATE INDEX events_at ON events (at);
CREATE INDEX tasks_queued ON tasks (priority, project, seq, task_id, run_after, after, system_id, labels)
    WHERE status = 'queued';
CREATE INDEX messages_on_their_way ON messages (run_id) WHERE status IN ('queued', 'delivered', 'accepted');
CREATE INDEX tasks_owner ON tasks (owner, seq) WHERE owner IS NOT NULL;
CREATE INDEX audit_log_at ON audit_log (at);
CREATE TRIGGER audit_log_is_kept BEFORE DELETE ON audit_log BEGIN
    SELECT RAISE(ABORT, 'the audit log only grows');
END;
CREATE TRIGGER audit_log_stands BEFORE UPDATE ON audit_log BEGIN
    SELECT RAISE(ABORT, 'the audit log only grows');
END;
CREATE INDEX sessions_owner ON sessions (owner, seq) WHERE owner IS NOT NULL;
CREATE UNIQUE INDEX standing_agents_name ON standing_agents (ifnull(owner, ''), name) WHERE terminated_at IS NULL;
CREATE INDEX standing_messages_agent ON standing_messages (agent_id, seq);
CREATE INDEX standing_messages_open ON standing_messages (agent_id) WHERE status IN ('queued', 'delivered', 'accepted');
CREATE INDEX approval_rules_task ON approval_rules (task_id) WHERE task_id IS NOT NULL;
CREATE UNIQUE INDEX incidents_open ON incidents (kind, subject) WHERE recovered_at IS NULL;
CREATE UNIQUE INDEX notices_topic ON notices (target, topic) WHERE status = 'queued';
CREATE INDEX incidents_over ON incidents (recovered_at) WHERE recovered_at IS NOT NULL;
CREATE INDEX notices_due ON notices (target, seq) WHERE status = 'queued';
CREATE INDEX notices_sent ON notices (target, topic, sent_at) WHERE status = 'sent';
CREATE INDEX notices_when ON notices (at);
CREATE INDEX runs_session ON runs (json_extract(run, '$.session_id'));
CREATE TRIGGER tasks_queued_anew AFTER INSERT ON tasks WHEN NEW.status = 'queued' BEGIN
    UPDATE queue_length SET queued = queued + 1;
END;
CREATE TRIGGER tasks_queued_again AFTER UPDATE OF status ON tasks
WHEN NEW.status = 'queued' AND OLD.status <> 'queued'
BEGIN
    UPDATE queue_length SET queued = queued + 1;
END;
CREATE TRIGGER tasks_left_queue AFTER UPDATE OF status ON tasks
WHEN NEW.status <> 'queued' AND OLD.status = 'queued'
BEGIN
    UPDATE queue_length SET queued = queued - 1;
END;
CREATE TRIGGER tasks_gone_from_queue AFTER DELETE ON tasks WHEN OLD.status = 'queued' BEGIN
    UPDATE queue_length SET queued = queued - 1;
END;
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('tasks',4);
INSERT INTO "sqlite_sequence" VALUES('late_results',1);
INSERT INTO "sqlite_sequence" VALUES('runs',1);
INSERT INTO "sqlite_sequence" VALUES('messages',1);
INSERT INTO "sqlite_sequence" VALUES('permissions',1);
INSERT INTO "sqlite_sequence" VALUES('open_claims',1);
INSERT INTO "sqlite_sequence" VALUES('events',2);
INSERT INTO "sqlite_sequence" VALUES('hook_events',1);
COMMIT;
