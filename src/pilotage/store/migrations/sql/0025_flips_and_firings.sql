-- When a routing row was written, on the database's clock: before, nobody can have fenced himself from what it took out.
ALTER TABLE routing ADD COLUMN written_at timestamptz NOT NULL DEFAULT clock_timestamp();

-- Which incident a firing of the permission wall was told in: each is told once (serving.md 6.6).
CREATE TABLE wall_firing (
    interaction     text PRIMARY KEY,
    incident        text NOT NULL REFERENCES incident (id)
);
INSERT INTO wall_firing (interaction, incident)
    SELECT DISTINCT ON (told.interaction) told.interaction, told.incident
    FROM (SELECT substring(l.text FROM 'passages for interaction (\S+) that') AS interaction, n.id AS incident
          FROM incident n JOIN incident_line l ON l.incident = n.id WHERE n.cause = 'permission_wall') told
    WHERE told.interaction IS NOT NULL ORDER BY told.interaction, told.incident;
