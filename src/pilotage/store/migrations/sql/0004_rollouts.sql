-- Rollouts, verdicts, acknowledgements of routing, incidents and drills. PostgreSQL >= 15, no extension.
-- Expand, migrate, contract: this file never changes once released.

-- routing ----------------------------------------------------------------------------------------------------------
ALTER TABLE routing
    ADD COLUMN shadow       text REFERENCES release (digest),
    ADD COLUMN shadow_ppm   integer NOT NULL DEFAULT 0,
    ADD COLUMN rollout      text,                       -- the rollout that put the candidate here
    ADD COLUMN closed       text CHECK (closed IN ('not_released', 'maintenance')),
    ADD COLUMN drill        jsonb;                      -- {release, principals, drill}: an arm of its own, never users'

-- What each serving process has taken over; written by it once a second, on the database's clock.
CREATE TABLE route_ack (
    process         text NOT NULL,
    space           text NOT NULL,
    workflow        text NOT NULL,
    generation      bigint NOT NULL,
    loaded          text[] NOT NULL DEFAULT '{}',       -- releases of the row that this process has verified
    at              timestamptz NOT NULL,
    PRIMARY KEY (process, space, workflow)
);

-- Admissions to a candidate, counted before anything is recorded: what is routed and not recorded is a gap.
CREATE TABLE route_admission (
    process         text NOT NULL,
    space           text NOT NULL,
    workflow        text NOT NULL,
    release         text NOT NULL,
    admitted        bigint NOT NULL,
    last_at         timestamptz NOT NULL,
    earlier         bigint NOT NULL DEFAULT 0,          -- the count of at least two minutes ago
    earlier_at      timestamptz NOT NULL,
    PRIMARY KEY (process, space, workflow, release)
);

-- What each process found when it asked its critical questions of the release it had gone back to.
CREATE TABLE route_probe (
    process         text NOT NULL,
    space           text NOT NULL,
    workflow        text NOT NULL,
    generation      bigint NOT NULL,
    asked           integer NOT NULL,
    passed          integer NOT NULL,
    right_release   boolean NOT NULL,
    at              timestamptz NOT NULL,
    PRIMARY KEY (process, space, workflow, generation)
);

-- rollouts ---------------------------------------------------------------------------------------------------------
CREATE TABLE rollout (
    id              text PRIMARY KEY,
    workflow        text NOT NULL,
    release         text NOT NULL REFERENCES release (digest),
    plan            jsonb NOT NULL,
    plan_digest     text NOT NULL,
    salt            text NOT NULL,
    state           text NOT NULL,
    state_at        timestamptz NOT NULL,
    state_before    text,                               -- where a pause began
    wave            integer NOT NULL DEFAULT 0,
    step            integer NOT NULL DEFAULT 0,
    step_at         timestamptz,
    extended_s      integer NOT NULL DEFAULT 0,
    decision        text,                               -- digest of the verdict that is to be signed
    decision_outcome text,
    latched         text[] NOT NULL DEFAULT '{}',       -- guards that fired and that no person has released
    attempt         integer NOT NULL DEFAULT 1,
    zeroed          boolean NOT NULL DEFAULT false,     -- paused with weight 0
    why             jsonb NOT NULL DEFAULT '[]',        -- reasons of the last transition
    started_by      text NOT NULL,
    preflight       jsonb NOT NULL DEFAULT '{}',
    flipped_at      timestamptz,
    flipped         text[] NOT NULL DEFAULT '{}',       -- spaces that were taken back, which validation looks at
    target          text,                               -- release they went back to; None for a closed door
    flipped_db      timestamptz,                        -- the same moment on the database's clock
    zero_at         timestamptz,
    zero_s          double precision,                   -- seconds from the verdict's commit to the last admission
    incident        text,
    reminded        integer NOT NULL DEFAULT 0,
    fence           bigint NOT NULL DEFAULT 0,          -- grows with every lease; carried by every write
    lease_owner     text,
    lease_until     timestamptz,
    created_at      timestamptz NOT NULL,
    ended_at        timestamptz
);
CREATE INDEX rollout_workflow ON rollout (workflow, created_at);

-- One row per space of a plan. A space is taken while its wave waits or runs: two rollouts never meet in it.
CREATE TABLE rollout_wave (
    rollout         text NOT NULL REFERENCES rollout (id),
    number          integer NOT NULL,
    workflow        text NOT NULL,
    space           text NOT NULL,
    state           text NOT NULL CHECK (state IN ('waiting', 'live', 'left', 'done', 'rolled_back')),
    stable          text,                               -- what served before, None in a space without any release
    started_at      timestamptz,
    ended_at        timestamptz,
    cursor          bigint NOT NULL DEFAULT -1,         -- ledger number of the last record that was counted
    counted_from    bigint,
    totals          jsonb NOT NULL DEFAULT '{}',        -- the e-CUSUMs and request totals of this space
    PRIMARY KEY (rollout, number)
);
CREATE UNIQUE INDEX rollout_one_active ON rollout_wave (workflow, space) WHERE state IN ('waiting', 'live', 'left');

CREATE TABLE rollout_step (
    rollout         text NOT NULL,
    wave            integer NOT NULL,
    step            integer NOT NULL,
    generation      bigint NOT NULL,                    -- of the routing row that began it; admission decides the step
    fraction_ppm    integer NOT NULL,
    cohort_share    double precision NOT NULL,
    started_at      timestamptz NOT NULL,
    ended_at        timestamptz,
    PRIMARY KEY (rollout, wave, step),
    FOREIGN KEY (rollout, wave) REFERENCES rollout_wave (rollout, number)
);

-- Sums per principal: what the verdict's counts and caps are made of. Pseudonyms only.
CREATE TABLE rollout_principal (
    rollout         text NOT NULL,
    wave            integer NOT NULL,
    principal       text NOT NULL,
    counts          jsonb NOT NULL,                     -- "<arm>/<step>/<day>": {metric: [requests, failures]}
    PRIMARY KEY (rollout, wave, principal),
    FOREIGN KEY (rollout, wave) REFERENCES rollout_wave (rollout, number)
);

CREATE TABLE rollout_verdict (
    rollout         text NOT NULL REFERENCES rollout (id),
    digest          text NOT NULL,
    wave            integer NOT NULL,
    step            integer NOT NULL,
    outcome         text NOT NULL,
    effect          text NOT NULL,
    body            bytea NOT NULL,                     -- canonical JSON, exactly what people sign
    at              timestamptz NOT NULL,
    is_decision     boolean NOT NULL DEFAULT false,
    PRIMARY KEY (rollout, digest)
);
CREATE INDEX rollout_verdict_at ON rollout_verdict (rollout, at);

CREATE TABLE rollout_signature (
    rollout         text NOT NULL REFERENCES rollout (id),
    verdict         text NOT NULL,
    kind            text NOT NULL CHECK (kind IN ('go', 'overrule')),
    role            text NOT NULL,
    person          text NOT NULL,
    acceptance      jsonb,
    at              timestamptz NOT NULL,
    PRIMARY KEY (rollout, verdict, kind, person)
);
CREATE UNIQUE INDEX rollout_signature_role ON rollout_signature (rollout, verdict, role) WHERE kind = 'go';

-- A release that was rolled back by a verdict or a hard event is never routed in that space again.
CREATE TABLE space_quarantine (
    space           text NOT NULL,
    workflow        text NOT NULL,
    release         text NOT NULL REFERENCES release (digest),
    rollout         text,
    reason          text NOT NULL,
    at              timestamptz NOT NULL,
    lifted_at       timestamptz,
    PRIMARY KEY (space, workflow, release)
);

-- incidents --------------------------------------------------------------------------------------------------------
CREATE TABLE incident (
    id              text PRIMARY KEY,
    workflow        text NOT NULL,
    space           text NOT NULL,                      -- where it was found; `spaces` are all that it concerns
    spaces          text[] NOT NULL,
    release         text,
    cause           text NOT NULL,
    severity        text NOT NULL CHECK (severity IN ('SEV1', 'SEV2', 'SEV3', 'SEV4')),
    state           text NOT NULL CHECK (state IN ('open', 'acknowledged', 'mitigated', 'resolved', 'closed')),
    summary         text NOT NULL,
    rollout         text,
    verdict         text,
    is_drill        boolean NOT NULL DEFAULT false,
    commander       text,
    responders      text[] NOT NULL DEFAULT '{}',
    detected_by     text NOT NULL,
    started_at      timestamptz NOT NULL,
    detected_at     timestamptz NOT NULL,
    acknowledged_at timestamptz,
    mitigated_at    timestamptz,
    resolved_at     timestamptz,
    closed_at       timestamptz,
    freezes         boolean NOT NULL DEFAULT false,
    freeze_lifted_at timestamptz,
    postmortem      jsonb
);
CREATE UNIQUE INDEX incident_one_open ON incident (workflow, space, coalesce(release, ''), cause, is_drill)
    WHERE state IN ('open', 'acknowledged', 'mitigated');
CREATE INDEX incident_workflow ON incident (workflow, detected_at);

CREATE TABLE incident_line (
    incident        text NOT NULL REFERENCES incident (id),
    number          integer NOT NULL,
    at              timestamptz NOT NULL,
    actor           text NOT NULL,                      -- pseudonym or system:<job>
    text            text NOT NULL,
    PRIMARY KEY (incident, number)
);

-- drills -----------------------------------------------------------------------------------------------------------
CREATE TABLE drill (
    id              text PRIMARY KEY,
    kind            text NOT NULL CHECK (kind IN ('rollback', 'failover')),
    workflow        text NOT NULL,
    space           text NOT NULL,
    release         text NOT NULL REFERENCES release (digest),
    space_digest    text NOT NULL,
    state           text NOT NULL CHECK (state IN ('running', 'passed', 'failed')),
    started_by      text NOT NULL,
    started_at      timestamptz NOT NULL,
    finished_at     timestamptz,
    valid_until     timestamptz,
    incident        text REFERENCES incident (id),
    report          jsonb NOT NULL DEFAULT '{}'
);
CREATE INDEX drill_space ON drill (workflow, space, kind, started_at);
