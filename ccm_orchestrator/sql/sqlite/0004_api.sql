-- Who asks for tasks, with which credential, and what they changed.

ALTER TABLE tasks ADD COLUMN owner TEXT;   -- the user that asked for it; NULL: somebody of this machine
ALTER TABLE tasks ADD COLUMN options TEXT; -- what it changes in its profile, as the daemon writes it; NULL: nothing
CREATE INDEX tasks_owner ON tasks (owner, seq) WHERE owner IS NOT NULL;

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
CREATE INDEX audit_log_at ON audit_log (at);

CREATE TRIGGER audit_log_is_kept BEFORE DELETE ON audit_log BEGIN
    SELECT RAISE(ABORT, 'the audit log only grows');
END;

CREATE TRIGGER audit_log_stands BEFORE UPDATE ON audit_log BEGIN
    SELECT RAISE(ABORT, 'the audit log only grows');
END;
