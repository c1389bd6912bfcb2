-- Standard changes: templates the board approves once, its votes, and the releases that go by one. And who lifts a
-- quarantine. PostgreSQL >= 15, no extension. Expand, migrate, contract: this file never changes once released.

CREATE TABLE standard_template (
    id              text PRIMARY KEY,                   -- ULID
    workflow        text NOT NULL,
    parts           text[] NOT NULL CHECK (cardinality(parts) > 0),
    max_share       double precision NOT NULL CHECK (max_share > 0 AND max_share <= 0.05),
    max_documents   integer NOT NULL CHECK (max_documents BETWEEN 1 AND 500),
    reason          text NOT NULL,
    proposed_by     text NOT NULL,
    proposed_at     timestamptz NOT NULL
);
CREATE INDEX standard_template_workflow ON standard_template (workflow, proposed_at);

CREATE TABLE standard_vote (
    id              text PRIMARY KEY,
    template        text NOT NULL REFERENCES standard_template (id),
    person          text NOT NULL,
    role            text NOT NULL,
    decision        text NOT NULL CHECK (decision IN ('approve', 'reject', 'abstain')),
    at              timestamptz NOT NULL
);
CREATE INDEX standard_vote_template ON standard_vote (template, at);

CREATE TABLE standard_change (
    id              text PRIMARY KEY,
    release         text NOT NULL REFERENCES release (digest),
    template        text NOT NULL REFERENCES standard_template (id),
    declared_by     text NOT NULL,
    declared_at     timestamptz NOT NULL,
    UNIQUE (release, template)
);

CREATE TABLE quarantine_lift (                          -- the first of two persons waits here for the second
    release         text NOT NULL REFERENCES release (digest),
    space           text NOT NULL DEFAULT '',           -- '' = the release itself, everywhere
    person          text NOT NULL,
    may_lift        boolean NOT NULL,
    at              timestamptz NOT NULL,
    PRIMARY KEY (release, space, person)
);
