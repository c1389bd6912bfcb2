-- What people at a gate want changed. Whether a later release answered it is read from the releases.
CREATE TABLE gate_change_request (
  id            text PRIMARY KEY,
  release       text NOT NULL REFERENCES release (digest),
  gate          text NOT NULL,
  role          text NOT NULL,
  person        text NOT NULL,
  text          text NOT NULL,
  at            timestamptz NOT NULL,
  closed_at     timestamptz,
  closed_reason text NOT NULL DEFAULT ''
);
CREATE INDEX gate_change_request_release ON gate_change_request (release, gate);

-- In which settings the space differed from the one before it when a release entered it; null: entered before this.
ALTER TABLE deployment ADD COLUMN space_change jsonb;
