-- Hard events seen by the machine (rollouts.md 8.1): read once, and declared when read again.

ALTER TABLE space_quarantine ADD COLUMN hard boolean NOT NULL DEFAULT false;   -- by a hard event: streams are cut

CREATE TABLE hard_sign (
    kind        text NOT NULL,
    subject     text NOT NULL,                          -- what it was seen on: an interaction, a release, the ledger
    workflow    text NOT NULL,
    space       text NOT NULL,
    release     text,
    summary     text NOT NULL,
    first_at    timestamptz NOT NULL,
    declared_at timestamptz,                            -- when it was read a second time, and acted on
    PRIMARY KEY (kind, subject)
);

-- Up to when records have been looked through: a worker that was away misses nothing.
CREATE TABLE hard_look (
    name        text PRIMARY KEY,
    until       timestamptz NOT NULL
);
