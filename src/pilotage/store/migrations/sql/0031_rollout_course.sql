-- What each arm of a rollout did over time, for people to look at; no test reads it. PostgreSQL >= 15, no extension.
-- Expand, migrate, contract: this file never changes once released.

CREATE TABLE rollout_course (
    rollout         text NOT NULL,
    wave            integer NOT NULL,
    arm             text NOT NULL CHECK (arm IN ('stable', 'candidate')),
    at              timestamptz NOT NULL,               -- beginning of the slot
    counts          jsonb NOT NULL,                     -- requests, failures, latency bins, grounding scores
    PRIMARY KEY (rollout, wave, arm, at),
    FOREIGN KEY (rollout, wave) REFERENCES rollout_wave (rollout, number)
);

-- Rated answers by release since the wave began: [rated, of them down].
ALTER TABLE rollout_wave
    ADD COLUMN ratings jsonb NOT NULL DEFAULT '{}';

-- What ended a phase of shadow or replay stays, as every verdict that somebody acts on: looks are replaced.
UPDATE rollout_verdict v SET is_decision = true FROM rollout_shadow s WHERE s.rollout = v.rollout AND s.verdict = v.digest;
