-- Since when a process's reports of a workflow speak of another moment than the one in force, so that they cannot be
-- compared with what was approved (gates.md 5.4). The row goes with the first report that can be.
CREATE TABLE report_lag (
    process     text NOT NULL,
    space       text NOT NULL,
    workflow    text NOT NULL,
    since       timestamptz NOT NULL,                   -- when the first of them was made, on the database's clock
    PRIMARY KEY (process, space, workflow)
);
