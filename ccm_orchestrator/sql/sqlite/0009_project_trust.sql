-- What people have approved of the files of projects that give agents orders of their own.

CREATE TABLE project_trust (
    project     TEXT NOT NULL,
    directory   TEXT NOT NULL,              -- another directory under the same name has no approvals
    file        TEXT NOT NULL,
    digest      TEXT NOT NULL,              -- of what matters in the file, and of the scripts that it names
    approved_at TEXT NOT NULL,
    approved_by TEXT NOT NULL,
    PRIMARY KEY (project, file, digest)
) WITHOUT ROWID;
