-- Rules that answer what agents ask by themselves.

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
CREATE INDEX approval_rules_task ON approval_rules (task_id) WHERE task_id IS NOT NULL;
