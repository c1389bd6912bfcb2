-- What live pages were sent, for ten minutes: a browser that lost its stream gets what it missed, from any process.
CREATE TABLE live_event (
  id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  stream  text NOT NULL,              -- what is followed, as rollout/<id>
  version text NOT NULL,              -- the state that the fragment shows
  body    text NOT NULL,              -- the fragment, as every viewer of the stream sees it
  at      timestamptz NOT NULL
);
CREATE INDEX live_event_stream ON live_event (stream, id);
CREATE INDEX live_event_at ON live_event (at);
