-- Who opened a document of evidence, by its bytes: other bytes are unread again.
CREATE TABLE document_opening (
  person text NOT NULL,
  sha256 text NOT NULL,
  at timestamptz NOT NULL,                -- the first time
  PRIMARY KEY (person, sha256)
);
