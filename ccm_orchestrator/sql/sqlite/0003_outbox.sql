-- What must still be told to a task store that is somewhere else.

CREATE TABLE outbox (
    seq     INTEGER PRIMARY KEY AUTOINCREMENT,
    store   TEXT    NOT NULL,
    task_id TEXT    NOT NULL,
    fence   INTEGER NOT NULL,
    deed    TEXT    NOT NULL,               -- how the run ended: its result, and whether the task is given back
    UNIQUE (store, task_id, fence)
);

CREATE TABLE kept_tasks (
    run_id TEXT NOT NULL PRIMARY KEY,
    task   TEXT NOT NULL                    -- as it was claimed
);

CREATE TABLE event_cursors (
    store TEXT    NOT NULL PRIMARY KEY,
    seq   INTEGER NOT NULL                  -- of the last event that was told
);

CREATE TABLE outgoing_metrics (
    seq        INTEGER PRIMARY KEY AUTOINCREMENT,
    store      TEXT    NOT NULL,
    metric_key TEXT    NOT NULL,
    metric     TEXT    NOT NULL,
    UNIQUE (store, metric_key)
);

CREATE INDEX messages_on_their_way ON messages (run_id) WHERE status IN ('queued', 'delivered', 'accepted');
