-- The runs of one conversation are asked for by its id.
CREATE INDEX runs_session ON runs (json_extract(run, '$.session_id'));
