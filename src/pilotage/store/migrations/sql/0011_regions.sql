-- Health of spaces, failover, and what serving processes report of what they hold.

-- The row sends its askers elsewhere: `down` while the space is unhealthy or failed over, `failover` the partner that
-- answers for it. Down without a partner answers nobody (region_unavailable).
ALTER TABLE routing
    ADD COLUMN down boolean NOT NULL DEFAULT false,
    ADD COLUMN failover text,
    ADD CONSTRAINT routing_failover_is_down CHECK (failover IS NULL OR down);

-- What one serving process found when it last checked a space, on the database's clock; counts are successive.
-- `holds`: by workflow, the fingerprints of what it serves.
CREATE TABLE space_report (
    process     text NOT NULL,
    space       text NOT NULL,
    at          timestamptz NOT NULL,
    failures    integer NOT NULL,
    successes   integer NOT NULL,
    reasons     jsonb NOT NULL DEFAULT '[]',
    holds       jsonb NOT NULL DEFAULT '{}',
    PRIMARY KEY (process, space)
);

-- The state of a space as the workers judge it. `since` is the product's clock, `checked_at` the database's.
-- `failover`: the partner its askers were sent to, until somebody or time brings them back.
CREATE TABLE space_health (
    space       text PRIMARY KEY,
    state       text NOT NULL CHECK (state IN ('unknown', 'healthy', 'unhealthy')),
    since       timestamptz NOT NULL,
    checked_at  timestamptz NOT NULL,
    reasons     jsonb NOT NULL DEFAULT '[]',
    failover    text,
    failover_at timestamptz
);
