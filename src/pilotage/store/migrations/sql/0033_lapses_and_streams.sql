-- Lapses of the gates of releases that serve, and the last stream of one that was taken out. PostgreSQL >= 15, no extension.
-- Expand, migrate, contract: this file never changes once released.

-- What no longer holds of a release that serves (gates.md 4.5, 4.9): noticed, told and acted upon once.
CREATE TABLE gate_lapse (
    space           text NOT NULL,
    workflow        text NOT NULL,
    release         text NOT NULL REFERENCES release (digest),
    gate            text NOT NULL,
    about           text NOT NULL,                      -- '' the gate itself, 'risk:<acceptance>', 'never:<criterion>'
    since           timestamptz NOT NULL,               -- when it began to be so
    noticed_at      timestamptz NOT NULL,
    ended_at        timestamptz,                        -- it holds again, or nothing of it serves there any more
    acted_at        timestamptz,                        -- the release was taken out because of it
    PRIMARY KEY (space, workflow, release, gate, about)
);

-- From the flip to the last stream of the candidate, and what the clocks of the processes leave in doubt.
ALTER TABLE rollout
    ADD COLUMN zero_streams_s double precision,
    ADD COLUMN clock_offset_s double precision;

-- How far the clock of a serving process is ahead of the database's; NULL: it never said.
ALTER TABLE route_ack
    ADD COLUMN clock_offset_ms integer;

-- Open streams of the release in this process, and when one was seen last, on the database's clock; NULL: never said.
ALTER TABLE route_admission
    ADD COLUMN streams      integer,
    ADD COLUMN streams_at   timestamptz;

-- A page is one message to each of its channels; whether it reached anybody is asked of all of them.
CREATE INDEX outbox_page ON outbox ((payload ->> 'page')) WHERE payload ? 'page';
CREATE INDEX outbox_dead ON outbox (seq) WHERE state = 'dead';

-- `earlier` and `earlier_at` are read and written by no process from here on; a later version drops them.
ALTER TABLE route_admission
    ALTER COLUMN earlier_at SET DEFAULT clock_timestamp();
