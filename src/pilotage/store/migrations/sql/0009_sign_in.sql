-- Sign-in with an identity provider: who it proved, and attempts that are under way.

ALTER TABLE console_session ALTER COLUMN person DROP NOT NULL;           -- an account need not be a declared person
ALTER TABLE console_session ALTER COLUMN authenticated_at DROP NOT NULL; -- unknown when the provider does not say
ALTER TABLE console_session ADD COLUMN claimed jsonb;                    -- what the ID token said; NULL for local keys

CREATE TABLE console_login (
    id              text PRIMARY KEY,                   -- SHA-256 of the secret that only the browser's cookie holds
    leads_to        text NOT NULL,                      -- where to go afterwards
    principal       text,                               -- who must come back, when a sign-in is confirmed
    kept_path       text,                               -- the form that met an ended or old session
    kept            jsonb,
    at              timestamptz NOT NULL
);
CREATE INDEX console_login_at ON console_login (at);
