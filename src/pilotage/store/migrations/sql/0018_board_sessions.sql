-- Sessions of a board. A session decides nothing: votes stand in gate_vote, whenever they are given.
CREATE TABLE board_session (
  id             text PRIMARY KEY,
  gate           text NOT NULL,
  starts_at      timestamptz NOT NULL,
  called_by      text NOT NULL,
  called_at      timestamptz NOT NULL,
  closed_at      timestamptz,
  closed_by      text,
  minutes        bytea,               -- canonical JSON, written once at the close
  minutes_digest text,                -- also in the ledger entry of the close
  CHECK ((closed_at IS NULL) = (minutes IS NULL) AND (minutes IS NULL) = (minutes_digest IS NULL))
);
CREATE INDEX board_session_start ON board_session (starts_at);

CREATE TABLE board_item (
  session  text NOT NULL REFERENCES board_session (id),
  position integer NOT NULL,          -- from 1, in the order in which releases are taken
  release  text NOT NULL REFERENCES release (digest),
  added_by text NOT NULL,
  added_at timestamptz NOT NULL,
  PRIMARY KEY (session, position),
  UNIQUE (session, release)
);
CREATE INDEX board_item_release ON board_item (release);

CREATE TABLE board_question (
  id          text PRIMARY KEY,
  session     text NOT NULL REFERENCES board_session (id),
  release     text NOT NULL REFERENCES release (digest),
  text        text NOT NULL,
  asked_by    text NOT NULL,
  asked_at    timestamptz NOT NULL,
  answer      text NOT NULL DEFAULT '',
  answered_by text,
  answered_at timestamptz
);
CREATE INDEX board_question_session ON board_question (session, asked_at);
