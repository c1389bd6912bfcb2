CREATE TABLE inbox_snooze (
  person text NOT NULL,
  task text NOT NULL,
  until timestamptz NOT NULL,
  PRIMARY KEY (person, task)
);
