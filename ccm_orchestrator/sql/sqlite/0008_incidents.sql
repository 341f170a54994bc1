-- What went wrong until it was well again, and what people are told.

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
CREATE UNIQUE INDEX incidents_open ON incidents (kind, subject) WHERE recovered_at IS NULL;

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
CREATE INDEX notices_due ON notices (due_at) WHERE status = 'queued';
CREATE UNIQUE INDEX notices_topic ON notices (target, topic) WHERE status = 'queued';

CREATE TABLE notice_cursor (
    only INTEGER PRIMARY KEY CHECK (only = 1),
    seq  INTEGER NOT NULL                   -- of the last event that was made into notices
);
