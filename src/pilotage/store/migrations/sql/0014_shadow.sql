-- Shadow and replay: what a rollout proves before its first user meets the candidate. PostgreSQL >= 15, no extension.
-- Expand, migrate, contract: this file never changes once released.

-- One row per phase of a rollout. Pairs of the same release against the same stable in a space count together.
CREATE TABLE rollout_shadow (
    rollout         text NOT NULL REFERENCES rollout (id),
    label           text NOT NULL CHECK (label IN ('replay', 'shadow')),
    workflow        text NOT NULL,
    space           text NOT NULL,
    release         text NOT NULL REFERENCES release (digest),
    stable          text NOT NULL REFERENCES release (digest),
    scorer          text NOT NULL,                      -- name and version; another one starts new counts
    sample_ppm      integer NOT NULL,
    cap_nano        bigint,                             -- most that candidate answers may cost on one UTC day
    started_at      timestamptz NOT NULL,
    cursor          bigint NOT NULL,                    -- ledger number of the last record that was looked at
    listed_at       timestamptz,                        -- replay: when its recorded questions were chosen
    ended_at        timestamptz,
    outcome         text CHECK (outcome IN ('go', 'no_go', 'inconclusive')),
    verdict         text,
    PRIMARY KEY (rollout, label)
);
CREATE INDEX rollout_shadow_release ON rollout_shadow (release, space, label);

-- One sampled request. It is expected when its record is read; whoever has both answers scores it.
CREATE TABLE rollout_pair (
    rollout         text NOT NULL,
    label           text NOT NULL,
    interaction     text NOT NULL,
    principal       text NOT NULL,                      -- pseudonym
    day             date NOT NULL,
    is_counted      boolean NOT NULL DEFAULT false,     -- its record was read, and its principal's daily five are not full
    due_at          timestamptz,                        -- expected longer than this: lost
    state           text NOT NULL CHECK (state IN ('expected', 'scored', 'lost', 'skipped')),
    tries           integer NOT NULL DEFAULT 0,         -- replay: begun so many times
    scorer          text,
    result          text CHECK (result IN ('worse', 'better', 'tie')),
    is_swapped      boolean,                            -- exchanging A and B changed the result
    why             text,                               -- of a lost or skipped pair
    cost_nano       bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (rollout, label, interaction),
    FOREIGN KEY (rollout, label) REFERENCES rollout_shadow (rollout, label)
);
CREATE INDEX rollout_pair_principal ON rollout_pair (rollout, label, principal, day);

-- The two answers, redacted; erased after seven days, and with every document that one of them cites.
CREATE TABLE rollout_pair_text (
    rollout         text NOT NULL,
    label           text NOT NULL,
    interaction     text NOT NULL,
    question        text NOT NULL,
    stable          text NOT NULL,
    candidate       text NOT NULL,
    documents       text[] NOT NULL DEFAULT '{}',       -- "<corpus>/<document>" of every passage behind them
    at              timestamptz NOT NULL,
    PRIMARY KEY (rollout, label, interaction),
    FOREIGN KEY (rollout, label, interaction) REFERENCES rollout_pair (rollout, label, interaction)
);
CREATE INDEX rollout_pair_text_at ON rollout_pair_text (at);
CREATE INDEX rollout_pair_text_documents ON rollout_pair_text USING gin (documents);

-- What candidate answers cost on a day, by the phase that asked for them: the purpose `shadow` of the costs.
CREATE TABLE rollout_shadow_cost (
    rollout         text NOT NULL,
    label           text NOT NULL,
    day             date NOT NULL,
    cost_nano       bigint NOT NULL,
    PRIMARY KEY (rollout, label, day),
    FOREIGN KEY (rollout, label) REFERENCES rollout_shadow (rollout, label)
);
