-- Who led an incident before the present commander, by person id; handovers before this are in its timeline alone.
ALTER TABLE incident ADD COLUMN former_commanders text[] NOT NULL DEFAULT '{}';
