-- How many tasks are queued, which every new task asks: counting them would take longer the more there are.
CREATE TABLE queue_length (
    only   INTEGER PRIMARY KEY CHECK (only = 1),
    queued INTEGER NOT NULL
);
INSERT INTO queue_length SELECT 1, count(*) FROM tasks WHERE status = 'queued';

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
