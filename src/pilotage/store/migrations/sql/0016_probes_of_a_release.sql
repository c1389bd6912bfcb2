-- A round of critical questions says which release was asked: a drill's round proves nothing about a candidate.
DELETE FROM route_probe;
ALTER TABLE route_probe DROP CONSTRAINT route_probe_pkey;
ALTER TABLE route_probe ADD COLUMN release text NOT NULL;
ALTER TABLE route_probe ADD PRIMARY KEY (process, space, workflow, generation, release);
