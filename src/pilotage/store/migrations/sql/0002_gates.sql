-- Evidence, votes, risk acceptances, delegations, promotions. PostgreSQL >= 15, no extension.

-- evidence: what a reader made of the bytes. `claims` stays the cache it was; `reading` holds findings, refs and names.
ALTER TABLE evidence
    ADD COLUMN reader       text NOT NULL DEFAULT '',
    ADD COLUMN summary      text NOT NULL DEFAULT '',
    ADD COLUMN media        text NOT NULL DEFAULT 'application/octet-stream',
    ADD COLUMN size         bigint NOT NULL DEFAULT 0,
    ADD COLUMN space_config text,
    ADD COLUMN attestation  text,                       -- sha256 (bare hex) of the DSSE envelope, when attested by others
    ADD COLUMN reading      jsonb NOT NULL DEFAULT '{}';
CREATE INDEX evidence_kind ON evidence (subject, received_at DESC);

-- Roster versions as they were first seen: tenure and editors are facts of the instance, not of a file's history.
CREATE TABLE roster_version (
    digest          text PRIMARY KEY,
    seen_at         timestamptz NOT NULL,
    seen_by         text NOT NULL,                      -- person, or system:workspace
    body            jsonb NOT NULL                      -- {roles: {role: [person]}, seats: [{role, holder, alternates}]}
);
CREATE INDEX roster_version_seen ON roster_version (seen_at);

-- Policy versions (gate files, risk tier, targets) as they were first seen.
CREATE TABLE policy_version (
    digest          text PRIMARY KEY,
    seen_at         timestamptz NOT NULL,
    seen_by         text NOT NULL,
    body            jsonb NOT NULL
);

-- One row per attempt of a release at a gate; the row is what votes and decisions lock.
CREATE TABLE gate_attempt (
    release         text NOT NULL REFERENCES release (digest),
    gate            text NOT NULL,
    attempt         integer NOT NULL,
    parts_digest    text NOT NULL,
    opened_at       timestamptz NOT NULL,
    opened_by       text NOT NULL,
    reason          text NOT NULL DEFAULT '',
    snapshot        jsonb,                              -- board seats at the first complete evidence
    snapshot_at     timestamptz,
    pack            text,                               -- digest of the CAB pack frozen for this attempt
    PRIMARY KEY (release, gate, attempt)
);
CREATE INDEX gate_attempt_parts ON gate_attempt (parts_digest, gate);

CREATE TABLE gate_vote (
    id              text PRIMARY KEY,
    release         text NOT NULL REFERENCES release (digest),
    parts_digest    text NOT NULL,
    gate            text NOT NULL,
    half            text NOT NULL,
    attempt         integer NOT NULL,
    role            text NOT NULL,
    is_seat         boolean NOT NULL,
    person          text NOT NULL,
    is_person       boolean NOT NULL,
    decision        text NOT NULL CHECK (decision IN ('approve', 'reject', 'abstain')),
    comment         text NOT NULL,
    checklist       jsonb NOT NULL,
    bind            text NOT NULL,
    bound           jsonb NOT NULL,
    evidence        text[] NOT NULL,
    login           jsonb NOT NULL,
    nonce           text NOT NULL,
    delegated_from  text,
    at              timestamptz NOT NULL,
    UNIQUE (release, gate, nonce)
);
CREATE INDEX gate_vote_release ON gate_vote (release, gate, at);
CREATE INDEX gate_vote_parts ON gate_vote (parts_digest, gate) WHERE decision = 'reject';

CREATE TABLE risk_acceptance (
    id              text PRIMARY KEY,
    release         text NOT NULL REFERENCES release (digest),
    gate            text NOT NULL,
    body_sha256     text NOT NULL,                      -- of the file as written: a second approver joins the same text
    body            jsonb NOT NULL,
    approvers       jsonb NOT NULL,                     -- [{person, role, at}]
    created         timestamptz NOT NULL,
    expires         timestamptz NOT NULL,
    withdrawn_at    timestamptz,
    UNIQUE (release, gate, body_sha256)
);
CREATE INDEX risk_acceptance_release ON risk_acceptance (release, gate);

CREATE TABLE gate_delegation (
    id              text PRIMARY KEY,
    giver           text NOT NULL,
    receiver        text NOT NULL,
    role            text NOT NULL,
    gates           text[] NOT NULL,
    starts_at       timestamptz NOT NULL,
    until           timestamptz NOT NULL,
    reason          text NOT NULL,
    made_at         timestamptz NOT NULL,
    revoked_at      timestamptz
);

CREATE TABLE gate_recusal (
    release         text NOT NULL REFERENCES release (digest),
    gate            text NOT NULL,
    attempt         integer NOT NULL,
    role            text NOT NULL,
    person          text NOT NULL,
    alternate       text NOT NULL,
    reason          text NOT NULL,
    at              timestamptz NOT NULL,
    PRIMARY KEY (release, gate, attempt, role)
);

CREATE TABLE cab_pack (
    digest          text PRIMARY KEY,                   -- sha256 of the canonical facts
    release         text NOT NULL REFERENCES release (digest),
    gate            text NOT NULL,
    attempt         integer NOT NULL,
    facts           bytea NOT NULL,
    as_of           timestamptz NOT NULL
);
CREATE INDEX cab_pack_release ON cab_pack (release, gate, attempt);

CREATE TABLE emergency_change (
    id              text PRIMARY KEY,
    release         text NOT NULL REFERENCES release (digest),
    workflow        text NOT NULL,
    incident        text NOT NULL,
    spaces          text[] NOT NULL,
    reason          text NOT NULL,
    opened_by       text NOT NULL,
    opened_role     text NOT NULL,
    opened_at       timestamptz NOT NULL,
    confirmed_by    text,
    confirmed_role  text,
    confirmed_at    timestamptz,
    expires_at      timestamptz NOT NULL,
    reviewed_at     timestamptz
);

-- deployments: what stands in a space, with the gate reports it rested on.
ALTER TABLE deployment
    ADD COLUMN plan          text,
    ADD COLUMN space_config  text,
    ADD COLUMN policy        text,
    ADD COLUMN gate_reports  jsonb NOT NULL DEFAULT '[]',
    ADD COLUMN healthy_since timestamptz,
    ADD COLUMN first_traffic_at timestamptz,
    ADD COLUMN confirmed_at  timestamptz,
    ADD COLUMN confirmed_by  text;
CREATE INDEX deployment_release ON deployment (release, space, at);

-- Facts people state for the machine: an alert test that fired, a page that was acknowledged.
CREATE TABLE stated_fact (
    id              text PRIMARY KEY,
    kind            text NOT NULL,                      -- alert_test, test_page
    space           text,
    workflow        text,
    by_person       text NOT NULL,
    at              timestamptz NOT NULL,
    detail          jsonb NOT NULL DEFAULT '{}'
);
CREATE INDEX stated_fact_kind ON stated_fact (kind, at DESC);
