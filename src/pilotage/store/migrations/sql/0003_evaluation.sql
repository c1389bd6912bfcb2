-- Evaluation runs: tasks with leases, generations, assessments, caches, voids. PostgreSQL >= 15, no extension.
-- Nothing here is an interaction: evaluation stands outside KPIs, SLOs and the statistics of rollouts.

CREATE TABLE evaluation_run (
    id              text PRIMARY KEY,                   -- ULID
    kind            text NOT NULL CHECK (kind IN ('evaluation', 'permissions', 'fairness', 'redteam')),
    workflow        text NOT NULL,
    release         text NOT NULL REFERENCES release (digest),
    baseline        text REFERENCES release (digest),
    space           text NOT NULL DEFAULT '',           -- empty: headless, on the release's own documents
    golden          text[] NOT NULL DEFAULT '{}',       -- golden files by name; empty = every one of the purpose
    golden_digest   text NOT NULL,
    repeats         integer NOT NULL CHECK (repeats >= 1),
    as_of           date NOT NULL,                      -- the day of cases that name none; fixed, so a resume changes nothing
    is_gating       boolean NOT NULL,
    cause           text NOT NULL,                      -- command, seal, schedule ...
    state           text NOT NULL CHECK (state IN ('queued', 'running', 'completed', 'cancelled', 'over_budget', 'failed')),
    verdict         text,                               -- only a completed run has one
    result          bytea,                              -- canonical JSON; a resumed run gives the same bytes
    result_sha256   text,
    measured        jsonb NOT NULL DEFAULT '{}',        -- latencies and counts of calls: what no rerun repeats
    evidence        text,                               -- evidence id, once attached
    note            text NOT NULL DEFAULT '',
    requested_by    text NOT NULL,
    requested_at    timestamptz NOT NULL,
    started_at      timestamptz,
    finished_at     timestamptz,
    voided_at       timestamptz
);
CREATE INDEX evaluation_run_release ON evaluation_run (release, kind, requested_at);
CREATE INDEX evaluation_run_workflow ON evaluation_run (workflow, kind, requested_at);

CREATE TABLE evaluation_task (
    run             text NOT NULL REFERENCES evaluation_run (id),
    arm             text NOT NULL CHECK (arm IN ('candidate', 'baseline')),
    case_id         text NOT NULL,
    repeat          integer NOT NULL,
    ordinal         integer NOT NULL,
    state           text NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'done')),
    attempt         integer NOT NULL DEFAULT 0,         -- leases taken: one more than needed for every worker that died
    failures        integer NOT NULL DEFAULT 0,         -- answers that failed
    due_at          timestamptz NOT NULL,
    lease_owner     text,
    lease_until     timestamptz,                        -- database time
    generation      text,
    context         jsonb,                              -- day, locale and readable gold documents its answer is scored with
    is_cached       boolean NOT NULL DEFAULT false,
    latency_us      bigint,
    ttft_us         bigint,
    error           text,
    PRIMARY KEY (run, arm, case_id, repeat)
);
CREATE INDEX evaluation_task_waiting ON evaluation_task (run, ordinal) WHERE state = 'waiting';

-- What a release answered, with the passages it saw. `documents` lets a takedown delete what quotes a document.
CREATE TABLE evaluation_generation (
    digest          text PRIMARY KEY,
    body            jsonb NOT NULL,
    documents       text[] NOT NULL DEFAULT '{}',       -- `<corpus>/<document>`
    at              timestamptz NOT NULL
);
ALTER TABLE evaluation_generation ALTER COLUMN body SET STORAGE EXTERNAL;
CREATE INDEX evaluation_generation_documents ON evaluation_generation USING gin (documents);

CREATE TABLE evaluation_cache (
    key             text PRIMARY KEY,                   -- digest over release, space, input, permissions, overlay, repeat, provider
    generation      text NOT NULL REFERENCES evaluation_generation (digest) ON DELETE CASCADE,
    at              timestamptz NOT NULL
);
CREATE INDEX evaluation_cache_generation ON evaluation_cache (generation);

CREATE TABLE evaluation_assessment (
    generation      text NOT NULL REFERENCES evaluation_generation (digest) ON DELETE CASCADE,
    subject         text NOT NULL,                      -- digest over the case and the context it is scored in
    version         text NOT NULL,                      -- name@semver+sha256 of the scorer
    body            jsonb NOT NULL,
    PRIMARY KEY (generation, subject, version)
);
ALTER TABLE evaluation_assessment ALTER COLUMN body SET STORAGE EXTERNAL;

-- Voiding a gating attempt takes two people.
CREATE TABLE evaluation_void (
    run             text NOT NULL REFERENCES evaluation_run (id),
    person          text NOT NULL,
    reason          text NOT NULL,
    at              timestamptz NOT NULL,
    PRIMARY KEY (run, person)
);
