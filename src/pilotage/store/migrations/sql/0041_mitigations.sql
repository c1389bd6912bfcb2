-- Mitigations of fairness findings: opened for a run, closed by a GO on another release or by a risk acceptance.
CREATE TABLE mitigation (
    id              text PRIMARY KEY,                   -- ULID
    workflow        text NOT NULL,
    release_before  text NOT NULL REFERENCES release (digest),
    run_before      text NOT NULL REFERENCES evaluation_run (id),
    attribute       text NOT NULL,
    metric          text NOT NULL,
    finding         text NOT NULL,                      -- the run's sentence
    value_before    double precision,
    action          text NOT NULL,
    owner           text NOT NULL,
    due             date NOT NULL,                      -- overdue on the day after
    opened_by       text NOT NULL,
    opened_at       timestamptz NOT NULL,
    decision        text CHECK (decision IN ('go', 'risk_accepted')),
    approver        text,
    closed_at       timestamptz,
    release_after   text REFERENCES release (digest),
    run_after       text REFERENCES evaluation_run (id),
    value_after     double precision,
    acceptance      text REFERENCES risk_acceptance (id),
    told_at         timestamptz,                        -- when its owner was last told that it is overdue
    CHECK (approver <> owner),
    CHECK ((decision IS NULL) = (approver IS NULL) AND (decision IS NULL) = (closed_at IS NULL)),
    CHECK ((decision IS NOT DISTINCT FROM 'go') = (run_after IS NOT NULL AND release_after IS NOT NULL)),
    CHECK ((decision IS NOT DISTINCT FROM 'risk_accepted') = (acceptance IS NOT NULL))
);
CREATE INDEX mitigation_workflow ON mitigation (workflow, opened_at);

-- As which model a task was answered, where the provider says so; NULL: not asked, from the cache, or not told.
ALTER TABLE evaluation_task ADD COLUMN model text;
ALTER TABLE evaluation_task ADD COLUMN fingerprint text;

-- When models were last looked at. Where that is long ago nobody knows which model answers.
ALTER TABLE model_look ADD COLUMN looked_at timestamptz;
UPDATE model_look SET looked_at = clock_timestamp();
