-- The oldest GO release of a year, which a run is compared with beside its baseline; fixed when the run is asked for.
ALTER TABLE evaluation_run
    ADD COLUMN oldest text REFERENCES release (digest);

ALTER TABLE evaluation_task
    DROP CONSTRAINT evaluation_task_arm_check,
    ADD CONSTRAINT evaluation_task_arm_check CHECK (arm IN ('candidate', 'baseline', 'oldest'));
