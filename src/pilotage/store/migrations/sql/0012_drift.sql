-- What a serving process holds that is not what was approved (gates.md 5.4). One row while it lasts.
-- `seen`: in how many different reports; `evicts`: the process leaves the routing of this row.
CREATE TABLE drift (
    process     text NOT NULL,
    space       text NOT NULL,
    workflow    text NOT NULL,
    release     text NOT NULL,
    part        text NOT NULL,
    observed    text NOT NULL,
    approved    text NOT NULL,
    opened_at   timestamptz NOT NULL,               -- the product's clock
    report_at   timestamptz,                        -- the report it was seen in last, on the database's clock
    seen        integer NOT NULL DEFAULT 1,
    evicts      boolean NOT NULL DEFAULT false,
    PRIMARY KEY (process, space, workflow, release, part)
);

-- When the drift of a space was looked at last, on the database's clock. Nobody looked for 180 s: unknown.
ALTER TABLE space_health ADD COLUMN drift_at timestamptz;
