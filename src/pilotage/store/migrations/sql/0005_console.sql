-- The console: who is signed in with a browser, and which forms were already carried out.

CREATE TABLE console_session (
    id              text PRIMARY KEY,                   -- SHA-256 of the cookie's token; the token is stored nowhere
    principal       text NOT NULL,
    person          text NOT NULL,
    via             text NOT NULL,                      -- the key that proved the person
    authenticated_at timestamptz NOT NULL,              -- decisions of weight ask for a recent one
    seen_at         timestamptz NOT NULL,
    ends_at         timestamptz NOT NULL                -- never later, however busy
);
CREATE INDEX console_session_end ON console_session (ends_at);

-- One row per decision form: a double click, a repeated POST or the back button records a decision once.
CREATE TABLE console_form (
    principal       text NOT NULL,
    key             text NOT NULL,
    path            text NOT NULL,
    location        text,                               -- where the first one led; NULL while it runs
    at              timestamptz NOT NULL,
    PRIMARY KEY (principal, key)
);
CREATE INDEX console_form_at ON console_form (at);

-- Every page says how far the ledger is signed.
CREATE INDEX ledger_checkpoint_signed ON ledger_checkpoint (signed_at);

-- A person sees their own questions without a walk through everybody's.
CREATE INDEX interaction_principal ON interaction (principal, at);
