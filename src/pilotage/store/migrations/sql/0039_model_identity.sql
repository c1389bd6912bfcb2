-- As which models a provider answered for a release in a space: those of its first answers, and later ones.
CREATE TABLE model_identity (
    workflow        text NOT NULL,
    space           text NOT NULL,
    release         text NOT NULL REFERENCES release (digest),
    answers         integer NOT NULL,                   -- of the first ones, as far as they are counted
    reference       jsonb NOT NULL,                     -- what answered first, and what a run found good
    changes         jsonb NOT NULL,                     -- what answered later and no run has judged yet
    changed_at      timestamptz,                        -- the newest change, judged or not
    PRIMARY KEY (workflow, space, release)
);

-- The last ledger number up to which answers were looked at; one row.
CREATE TABLE model_look (
    is_one          boolean PRIMARY KEY DEFAULT true CHECK (is_one),
    seq             bigint NOT NULL
);
