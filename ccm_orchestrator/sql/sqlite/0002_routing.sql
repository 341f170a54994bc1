-- Which machine may take a task, and what machines say of themselves.

ALTER TABLE tasks ADD COLUMN labels TEXT NOT NULL DEFAULT '[]'; -- a system must have all of them

DROP INDEX tasks_queued;
CREATE INDEX tasks_queued ON tasks (priority, project, seq, task_id, run_after, after, system_id, labels)
    WHERE status = 'queued';

ALTER TABLE systems ADD COLUMN system_name TEXT;
ALTER TABLE systems ADD COLUMN version TEXT;
ALTER TABLE systems ADD COLUMN max_agents INTEGER NOT NULL DEFAULT 0;
ALTER TABLE systems ADD COLUMN labels TEXT NOT NULL DEFAULT '[]';
