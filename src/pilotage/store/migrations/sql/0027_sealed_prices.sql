-- What the model's tokens cost when the release was sealed, for answers it gives after its workflow moved to another model.
ALTER TABLE release
    ADD COLUMN prices jsonb;
