CREATE TABLE inbox_handover (
  task text NOT NULL,
  giver text NOT NULL,
  taker text NOT NULL,
  at timestamptz NOT NULL,
  PRIMARY KEY (task, giver)
);
CREATE INDEX inbox_handover_giver ON inbox_handover (giver);
CREATE INDEX inbox_handover_taker ON inbox_handover (taker);
