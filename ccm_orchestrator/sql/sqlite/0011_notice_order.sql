-- How far the event log was read for the book of incidents, committed with what it meant.
CREATE TABLE incident_cursor (
    only INTEGER PRIMARY KEY CHECK (only = 1),
    seq  INTEGER NOT NULL
);
CREATE INDEX incidents_over ON incidents (recovered_at) WHERE recovered_at IS NOT NULL;

-- What is due is asked for one target at a time, so that none waits behind another's queue.
DROP INDEX notices_due;
CREATE INDEX notices_due ON notices (target, seq) WHERE status = 'queued';
CREATE INDEX notices_sent ON notices (target, topic, sent_at) WHERE status = 'sent';
CREATE INDEX notices_when ON notices (at);
