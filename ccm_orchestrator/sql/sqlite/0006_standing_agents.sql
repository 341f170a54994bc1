-- Agents that stay: their name and conversation outlive their processes, and so do the messages to them.

ALTER TABLE messages ADD COLUMN answer TEXT NOT NULL DEFAULT ''; -- what the agent said at the end of the turn

CREATE TABLE standing_agents (
    seq           INTEGER PRIMARY KEY AUTOINCREMENT,
    agent_id      TEXT NOT NULL UNIQUE,
    name          TEXT NOT NULL,
    owner         TEXT,               -- the user that it works for; NULL: somebody of this machine
    terminated_at TEXT,
    agent         TEXT NOT NULL       -- document: all of it
);
CREATE UNIQUE INDEX standing_agents_name ON standing_agents (ifnull(owner, ''), name) WHERE terminated_at IS NULL;

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
CREATE INDEX standing_messages_agent ON standing_messages (agent_id, seq);
CREATE INDEX standing_messages_open ON standing_messages (agent_id) WHERE status IN ('queued', 'delivered', 'accepted');
