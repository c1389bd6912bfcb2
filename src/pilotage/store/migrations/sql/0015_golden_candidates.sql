-- Candidates of golden sets: proposed by feedback or an import, decided by a steward. PostgreSQL >= 15, no extension.
-- Expand, migrate, contract: this file never changes once released.

CREATE TABLE golden_candidate (
    id              text PRIMARY KEY,                   -- ULID
    workflow        text NOT NULL,
    state           text NOT NULL CHECK (state IN ('open', 'blocked', 'accepted', 'rejected')),
    origin          text NOT NULL CHECK (origin IN ('feedback', 'imported')),
    "row"           jsonb NOT NULL,                     -- the golden row as proposed; redacted, its asker a persona
    sources         text[] NOT NULL,                    -- interactions, or the imported case
    asked_by        text[] NOT NULL,                    -- pseudonyms of who asked or brought it; they never decide it
    blocked_by      text NOT NULL DEFAULT '',
    at              timestamptz NOT NULL,
    decided_by      text,                               -- pseudonym
    decided_at      timestamptz,
    reason          text NOT NULL DEFAULT '',
    golden          text NOT NULL DEFAULT '',           -- the golden file an accepted case is in
    CHECK ((state IN ('accepted', 'rejected')) = (decided_by IS NOT NULL AND decided_at IS NOT NULL))
);
CREATE INDEX golden_candidate_workflow ON golden_candidate (workflow, state, at);
