-- Revocation of a release by two persons, and the name a log was begun under. PostgreSQL >= 15, no extension.
-- Expand, migrate, contract: this file never changes once released.

-- Who asked that a release be revoked, before the second person joins; rows stay as the record of both.
CREATE TABLE release_revocation (
    release         text NOT NULL REFERENCES release (digest),
    person          text NOT NULL,
    may_revoke      boolean NOT NULL,                   -- whether the person held a role that revokes, at that time
    reason          text NOT NULL,
    at              timestamptz NOT NULL,
    PRIMARY KEY (release, person)
);

-- Verifiers know a log by its name: it is written with its first key and never follows a later declaration.
ALTER TABLE ledger_head ADD COLUMN name text;
UPDATE ledger_head SET name = regexp_replace(
    coalesce(
        (SELECT origin FROM ledger_checkpoint ORDER BY size, signed_at LIMIT 1),
        (SELECT subject FROM ledger_entry WHERE kind = 'ledger.key_created' ORDER BY id LIMIT 1)
    ),
    '\.epoch-[0-9]+$', '')
WHERE key_name IS NOT NULL;
