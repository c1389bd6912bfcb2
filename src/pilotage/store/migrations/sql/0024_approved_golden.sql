-- The approved release whose golden cases a run asks too where its own release asks less; fixed when it is asked for.
ALTER TABLE evaluation_run
    ADD COLUMN approved text REFERENCES release (digest);
