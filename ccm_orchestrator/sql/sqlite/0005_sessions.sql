-- Conversations that programs hold with an agent, and their turns, each of which is a task.

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
CREATE INDEX sessions_owner ON sessions (owner, seq) WHERE owner IS NOT NULL;

CREATE TABLE session_turns (
    session_id TEXT    NOT NULL REFERENCES sessions (session_id),
    number     INTEGER NOT NULL,
    task_id    TEXT    NOT NULL,
    created_at TEXT    NOT NULL,
    PRIMARY KEY (session_id, number),
    UNIQUE (session_id, task_id)
) WITHOUT ROWID;
