-- What an account chose for its own pages: they change no right. `zone` is an IANA name, NULL for the workspace's.
CREATE TABLE person_setting (
  principal text PRIMARY KEY,
  zone text,
  shortcuts boolean NOT NULL DEFAULT false
);
