-- Releases that completed, and that late regressions are looked for in while they serve.
CREATE TABLE release_watch (
    rollout         text NOT NULL,
    wave            integer NOT NULL,
    workflow        text NOT NULL,
    space           text NOT NULL,
    release         text NOT NULL REFERENCES release (digest),
    since           timestamptz NOT NULL,
    cursor          bigint NOT NULL,                    -- the last ledger number counted
    counted_from    bigint NOT NULL,
    per_year        double precision NOT NULL,          -- requests a year that the alarm follows; 0: nobody knows
    sums            jsonb NOT NULL,
    ended_at        timestamptz,
    ended_why       text CHECK (ended_why IN ('left', 'regression')),
    rollback        text,                               -- the rollout that took it back
    PRIMARY KEY (rollout, wave),
    FOREIGN KEY (rollout, wave) REFERENCES rollout_wave (rollout, number)
);
CREATE INDEX release_watch_open ON release_watch (rollout) WHERE ended_at IS NULL;

-- Windows of a space of a rollout that count for neither arm, by two persons and an incident.
CREATE TABLE rollout_excuse (
    id              text PRIMARY KEY,
    rollout         text NOT NULL,
    wave            integer NOT NULL,
    from_at         timestamptz NOT NULL,
    to_at           timestamptz NOT NULL,
    incident        text NOT NULL REFERENCES incident (id),
    reason          text NOT NULL,
    first_by        text NOT NULL,
    first_at        timestamptz NOT NULL,
    second_by       text,                               -- NULL: waits for a second person, and excuses nothing yet
    second_at       timestamptz,
    removed         jsonb NOT NULL DEFAULT '{}',        -- requests and failures that no longer count, by arm
    UNIQUE (rollout, wave, from_at, to_at, incident),
    FOREIGN KEY (rollout, wave) REFERENCES rollout_wave (rollout, number)
);
